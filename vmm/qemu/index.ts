import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { Cleanup } from '../../base/cleanup.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { exists } from '../../base/files.ts';
import { logger } from '../../base/log.ts';
import { isAlive, type ProcessIdentity, signalProcess } from '../../base/process.ts';
import { noteBegun, sweepBegun } from '../begun.ts';
import { lastLines } from '../console.ts';
import { copySparse, makeExt4Disk } from '../disks.ts';
import type { Machine, MachineRecord, MachineSpec, SavedMachine, Vmm } from '../machine.ts';
import type { Template, Templates } from '../template/types.ts';
import { startVirtiofsd } from '../virtiofsd.ts';
import { createNursery, type Nursery } from '../zygote/nursery.ts';
import { removeMadeLayer } from '../zygote/zygote.ts';
import { loadClone, loadWhole, type Saved } from './clone.ts';
import { type Beginning, buildQemuCommand, freePorts, layoutOf, machineSockets, type QemuSettings } from './command.ts';
import { launchQemu, makeFolders } from './launch.ts';
import { isGone, QemuMachine, removeLeftovers, stderrPath } from './machine.ts';
import { rootDisks } from './machine-class.ts';
import { connectQmp } from './qmp.ts';

const log = logger('vmm');

export interface QemuOptions extends QemuSettings {
  /** Where clones come from; without them every machine boots. */
  readonly templates?: Templates;
  /** Where clones are copies of one another; a test gives its own. */
  readonly nursery?: Nursery;
}

interface CreateInput {
  readonly settings: QemuSettings;
  readonly spec: MachineSpec;
  readonly nicSockets: readonly Socket[];
  readonly templates: Templates | undefined;
  readonly nursery: Nursery;
  readonly signal?: AbortSignal | undefined;
  /** That the machine is a clone of. */
  readonly template?: Template;
}

/** The QEMU backend, for KVM and for software emulation alike. */
export const createQemuVmm = ({ templates, nursery, ...settings }: QemuOptions): Vmm => {
  const parts = { settings, templates, nursery: nursery ?? createNursery({ settings }) };
  return {
    name: backendName(settings),
    capabilities: {
      accelerated: settings.accelerator === 'kvm',
      pause: true,
      shares: settings.toolchain.virtiofsd !== undefined,
      hotplug: false,
      snapshot: templates !== undefined,
    },
    buildCommand: (spec) => buildQemuCommand(settings, spec),
    create: (spec, nicSockets, signal) => createMachine({ ...parts, spec, nicSockets, signal }),
    adopt: adoptMachine,
    restore: (saved, nicSockets, signal) => restoreMachine({ ...parts, spec: saved.spec, nicSockets, signal }, saved),
    ...(templates === undefined ? {} : { templateFailed: (key) => templates.failed({ key }) }),
    sweep: sweepMachine,
    sweepBegun,
  };
};

const backendName = (settings: QemuSettings): string => `qemu-${settings.accelerator}`;

/** A clone of the best template that there is; else, and whenever that fails, a machine that boots. */
const createMachine = async (input: CreateInput): Promise<Machine> => {
  const { spec, nicSockets } = input;
  try {
    input.signal?.throwIfAborted();
    checkSpec(spec, nicSockets);
    if (spec.unrooted) {
      await dropLayer(spec);
    }
    if (spec.cold !== undefined) {
      const machine = await bootCold(input);
      await blame(input, [spec.cold.template]);
      return machine;
    }
    const { machine, useless } = await cloneBest(input);
    const begun = machine ?? (await bootCold(input));
    // Only now is it known that it was the template: a disk that is not there fails either way.
    await blame(input, useless);
    return begun;
  } finally {
    // QEMU has its own copy of each descriptor; ours must go, or the network never sees the machine's end.
    destroyAll(nicSockets);
  }
};

/** A clone of the template that goes furthest, if there is any, and the keys of those that were of no use. */
const cloneBest = async (input: CreateInput): Promise<{ machine: Machine | undefined; useless: string[] }> => {
  const rooted = !input.spec.unrooted && (await isUntouched(input.spec)) ? await findTemplate(input, 'rooted') : undefined;
  const first = rooted && (await tryClone(input, rooted));
  if (first !== undefined) {
    return { machine: first, useless: [] };
  }
  const plain = await findTemplate(input);
  const machine = plain && (await tryClone(input, plain));
  if (machine !== undefined && rooted === undefined) {
    input.templates?.wanted(input.spec);
  }
  const useless = [rooted, machine === undefined ? plain : undefined].flatMap((template) => template?.key ?? []);
  return { machine, useless };
};

/** A template that cannot be looked at is none: a start does not fail over it. */
const findTemplate = async ({ spec, templates }: CreateInput, form?: 'rooted'): Promise<Template | undefined> => {
  try {
    return await templates?.find(spec, form);
  } catch (error) {
    log.warn('templates cannot be read', { machine: spec.name, reason: messageOf(error) });
    return undefined;
  }
};

/** Never rejects: there is a machine already, whose owner must hear of it. */
const blame = async ({ spec, templates }: CreateInput, keys: ReadonlyArray<string | undefined>): Promise<void> => {
  for (const key of keys.filter((one) => one !== undefined)) {
    await templates
      ?.failed({ key })
      .catch((error: unknown) => log.warn('the failure of a template was not noted', { machine: spec.name, reason: messageOf(error) }));
  }
};

/** Its writable layer is still to be made: then it may come from a template, whose guest has it mounted. */
const isUntouched = async (spec: MachineSpec): Promise<boolean> => {
  const disks = rootDisks(spec);
  return disks !== undefined && !(await exists(disks.upper.path));
};

/** What a template's clone has begun to write: made anew, as for a machine that never was. */
const dropLayer = async (spec: MachineSpec): Promise<void> => {
  const disks = rootDisks(spec);
  if (disks !== undefined) {
    await rm(disks.upper.path, { force: true });
  }
};

/** Undefined when the template is of no use: the machine is then begun in another way, with the same sockets. */
const tryClone = async (input: CreateInput, template: Template): Promise<Machine | undefined> => {
  const { spec, signal } = input;
  const begin = Date.now();
  try {
    const machine = (await bringUpCopy(input, template)) ?? (await bringUpClone(input, template));
    log.info('cloned', { machine: spec.name, template: template.key, ms: Date.now() - begin });
    input.templates?.watch(template, machine);
    return machine;
  } catch (error) {
    signal?.throwIfAborted();
    log.warn('a clone failed; beginning in another way', { machine: spec.name, template: template.key, reason: describeError(error) });
    return undefined;
  }
};

const bringUpClone = async (input: CreateInput, template: Template): Promise<Machine> => {
  const disks = rootDisks(input.spec);
  if (disks !== undefined && template.upper !== undefined) {
    await copySparse(template.upper, disks.upper.path, input.signal);
  }
  return await bringUp({ ...input, template }, { kind: 'clone', ram: template.ram }, template);
};

const bootCold = async (input: CreateInput): Promise<Machine> => {
  const machine = await bringUp(input, { kind: 'cold' });
  input.templates?.wanted(input.spec);
  return machine;
};

/** A machine goes on only with the very programs it was saved by: another QEMU may read its state wrongly. */
const restoreMachine = async (input: CreateInput, saved: SavedMachine): Promise<Machine> => {
  const { settings, spec, nicSockets } = input;
  try {
    checkSpec(spec, nicSockets);
    if (saved.backend !== backendName(settings) || saved.programs !== settings.toolchain.id) {
      throw new HyprError('VMM_SAVED', `${spec.name} was saved by other programs than those of now`);
    }
    if (!(await exists(saved.state))) {
      throw new HyprError('VMM_SAVED', `the saved memory of ${spec.name} is gone: ${saved.state}`);
    }
    return await bringUp(input, { kind: 'restored', layout: saved.layout }, { ram: undefined, state: saved.state });
  } finally {
    destroyAll(nicSockets);
  }
};

const describeError = (error: unknown): string =>
  [messageOf(error), ...(error instanceof HyprError ? (error.details ?? []) : [])].join('; ');

/** A QEMU with the guest stopped before its first instruction, or where its template was saved. */
const bringUp = async (input: CreateInput, beginning: Beginning, saved?: Saved): Promise<Machine> => {
  const { settings, spec, nicSockets, signal } = input;
  const cleanup = new Cleanup();
  try {
    cleanup.defer(() => rm(spec.runDir, { recursive: true, force: true }));
    await makeFolders(spec);
    if (beginning.kind !== 'restored') {
      await makeBlanks(settings, spec, signal);
    }
    const helpers = await startShares(settings, spec, cleanup, signal);
    const { child, process, qmp } = await launchQemu({ settings, spec, inherits: nicSockets, beginning, cleanup, signal });
    if (saved !== undefined) {
      const loading =
        beginning.kind === 'restored'
          ? loadWhole({ qmp, state: saved.state, signal, memoryMib: spec.memoryMib })
          : loadClone({ qmp, spec, saved, signal });
      await loading.catch(async (error: unknown) => {
        // QEMU's own words go with its folder.
        throw new HyprError('VMM_START', messageOf(error), { details: await lastLines(stderrPath({ spec }), 8), cause: error });
      });
    }
    const record = recordOf(input, { process, helpers, layout: layoutOf(beginning) });
    cleanup.disarm();
    return new QemuMachine(record, qmp, child, freePorts(spec, beginning));
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  }
};

/** A clone that need not be started, because there is a process that can be copied. Its layer comes with it. */
const bringUpCopy = async (input: CreateInput, template: Template): Promise<Machine | undefined> => {
  const { spec, nicSockets, nursery, signal } = input;
  if (template.upper === undefined) {
    return undefined;
  }
  const cleanup = new Cleanup();
  try {
    cleanup.defer(() => rm(spec.runDir, { recursive: true, force: true }));
    await makeFolders(spec);
    const process = await nursery.copy({ spec, template, cards: nicSockets, signal });
    if (process === undefined) {
      await cleanup.run();
      return undefined;
    }
    noteBegun(spec.runDir, process);
    cleanup.defer(() => removeMadeLayer(spec));
    cleanup.defer(() => isGone(process));
    cleanup.defer(() => signalProcess(process, 'SIGKILL'));
    const qmp = await connectQmp(machineSockets(spec.runDir).control, signal);
    const record = recordOf({ ...input, template }, { process, helpers: [], layout: 'clone' });
    cleanup.disarm();
    return new QemuMachine(record, qmp, undefined, freePorts(spec, { kind: 'clone', ram: template.ram }));
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  }
};

const recordOf = (
  { settings, spec, template }: CreateInput,
  { process, helpers, layout }: Pick<MachineRecord, 'process' | 'helpers' | 'layout'>,
): MachineRecord => {
  const { agent, control } = machineSockets(spec.runDir);
  const ahead = template?.upper === undefined ? {} : { rooted: true as const };
  const origin = { layout, programs: settings.toolchain.id, ...(template === undefined ? {} : { template: template.key }), ...ahead };
  return { backend: backendName(settings), spec, process, helpers, agentSocket: agent, controlSocket: control, ...origin };
};

const makeBlanks = async ({ toolchain }: QemuSettings, { disks }: MachineSpec, signal?: AbortSignal): Promise<void> => {
  await Promise.all(
    disks.map(({ path, blank }) => (blank === undefined ? undefined : makeExt4Disk({ path, ...blank, mkfs: toolchain.mkfsExt4, signal }))),
  );
};

/** Longest path of a unix socket that every kernel takes, with the longest name a machine has in its folder. */
const MAX_SOCKET_PATH = 104 - 'agent.sock'.length - 2;

const checkSpec = (spec: MachineSpec, nicSockets: readonly Socket[]): void => {
  if (nicSockets.length !== spec.nics.length) {
    throw new HyprError('HYPR_INTERNAL', `${spec.name} has ${spec.nics.length} network cards and ${nicSockets.length} sockets for them`);
  }
  if (Buffer.byteLength(spec.runDir) > MAX_SOCKET_PATH) {
    throw new HyprError('VMM_START', `the folder ${spec.runDir} is too long for the sockets of a machine`, {
      hint: 'set HYPR_RUNTIME_DIR to a short folder of your own, e.g. /tmp/hypr',
    });
  }
};

const destroyAll = (sockets: readonly Socket[]): void => {
  for (const socket of sockets) {
    socket.destroy();
  }
};

const startShares = async (
  settings: QemuSettings,
  spec: MachineSpec,
  cleanup: Cleanup,
  signal?: AbortSignal,
): Promise<ProcessIdentity[]> => {
  const sockets = machineSockets(spec.runDir);
  const started = await Promise.allSettled(
    spec.shares.map(async (share, index) => {
      const options = { tool: settings.toolchain.virtiofsd, share, socket: sockets.share(index), log: `${spec.runDir}/fs${index}.log` };
      const identity = await startVirtiofsd(signal ? { ...options, signal } : options);
      noteBegun(spec.runDir, identity);
      cleanup.defer(() => signalProcess(identity, 'SIGKILL'));
      return identity;
    }),
  );
  const failed = started.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    throw failed.reason;
  }
  return started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
};

const adoptMachine = async (record: MachineRecord, signal?: AbortSignal): Promise<Machine | undefined> => {
  if (!isAlive(record.process)) {
    return undefined;
  }
  try {
    return new QemuMachine(record, await connectQmp(record.controlSocket, signal), undefined);
  } catch (error) {
    signal?.throwIfAborted();
    if (isAlive(record.process)) {
      throw error;
    }
    return undefined;
  }
};

const sweepMachine = async (record: MachineRecord): Promise<void> => {
  signalProcess(record.process, 'SIGKILL');
  await isGone(record.process);
  await removeLeftovers(record);
};
