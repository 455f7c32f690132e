import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { Cleanup } from '../../base/cleanup.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { exists } from '../../base/files.ts';
import { logger } from '../../base/log.ts';
import { isAlive, type ProcessIdentity, signalProcess } from '../../base/process.ts';
import { lastLines } from '../console.ts';
import { copySparse, makeExt4Disk } from '../disks.ts';
import type { Machine, MachineRecord, MachineSpec, SavedMachine, Vmm } from '../machine.ts';
import type { Template, Templates } from '../template/types.ts';
import { startVirtiofsd } from '../virtiofsd.ts';
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
}

interface CreateInput {
  readonly settings: QemuSettings;
  readonly spec: MachineSpec;
  readonly nicSockets: readonly Socket[];
  readonly templates: Templates | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The QEMU backend, for KVM and for software emulation alike. */
export const createQemuVmm = ({ templates, ...settings }: QemuOptions): Vmm => ({
  name: backendName(settings),
  capabilities: {
    accelerated: settings.accelerator === 'kvm',
    pause: true,
    shares: settings.toolchain.virtiofsd !== undefined,
    hotplug: false,
    snapshot: templates !== undefined,
  },
  buildCommand: (spec) => buildQemuCommand(settings, spec),
  create: (spec, nicSockets, signal) => createMachine({ settings, spec, nicSockets, templates, signal }),
  adopt: adoptMachine,
  restore: (saved, nicSockets, signal) => restoreMachine({ settings, spec: saved.spec, nicSockets, templates, signal }, saved),
  sweep: sweepMachine,
});

const backendName = (settings: QemuSettings): string => `qemu-${settings.accelerator}`;

/** A clone of the best template that there is; else, and whenever that fails, a machine that boots. */
const createMachine = async (input: CreateInput): Promise<Machine> => {
  const { spec, nicSockets, templates } = input;
  try {
    input.signal?.throwIfAborted();
    checkSpec(spec, nicSockets);
    const failed = spec.cold ? await knownTemplates(input) : [];
    const machine = (spec.cold ? undefined : await cloneMachine(input, failed)) ?? (await bootMachine(input));
    // Only now is it known that it was the template: a disk that is not there fails either way.
    for (const template of failed) {
      await templates?.failed(template);
    }
    return machine;
  } finally {
    // QEMU has its own copy of each descriptor; ours must go, or the network never sees the machine's end.
    destroyAll(nicSockets);
  }
};

/** From the template that is furthest; undefined without one. Those that were of no use are added to `failed`. */
const cloneMachine = async (input: CreateInput, failed: Template[]): Promise<Machine | undefined> => {
  const { spec, templates } = input;
  const rooted = (await isUntouched(spec)) ? await templates?.find(spec, 'rooted') : undefined;
  const first = rooted && (await tryClone(input, rooted));
  if (first !== undefined) {
    return first;
  }
  const plain = await templates?.find(spec);
  const second = plain && (await tryClone(input, plain));
  failed.push(...[rooted, second === undefined ? plain : undefined].filter((template) => template !== undefined));
  if (second !== undefined && rooted === undefined) {
    templates?.wanted(spec);
  }
  return second;
};

/** Its writable layer is still to be made: then it may come from a template, whose guest has it mounted. */
const isUntouched = async (spec: MachineSpec): Promise<boolean> => {
  const disks = rootDisks(spec);
  return disks !== undefined && !(await exists(disks.upper.path));
};

/** Undefined when the template is of no use: the machine is then begun in another way, with the same sockets. */
const tryClone = async (input: CreateInput, template: Template): Promise<Machine | undefined> => {
  const { spec, signal } = input;
  const begin = Date.now();
  try {
    const disks = template.upper === undefined ? undefined : rootDisks(spec);
    if (disks !== undefined && template.upper !== undefined) {
      await copySparse(template.upper, disks.upper.path, signal);
    }
    const machine = await bringUp(input, { kind: 'clone', ram: template.ram }, template);
    log.info('cloned', { machine: spec.name, template: template.key, ms: Date.now() - begin });
    input.templates?.watch(template, machine);
    return machine;
  } catch (error) {
    signal?.throwIfAborted();
    log.warn('a clone failed; beginning in another way', { machine: spec.name, template: template.key, reason: describeError(error) });
    return undefined;
  }
};

/** Those that a clone of this machine may have come from. */
const knownTemplates = async ({ spec, templates }: CreateInput): Promise<Template[]> => {
  const found = [await templates?.find(spec, 'rooted'), await templates?.find(spec)];
  return found.filter((template) => template !== undefined);
};

const bootMachine = async (input: CreateInput): Promise<Machine> => {
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
    await makeBlanks(settings, spec, signal);
    const helpers = await startShares(settings, spec, cleanup, signal);
    const { child, process, qmp } = await launchQemu({ settings, spec, nicSockets, beginning, cleanup, signal });
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
    const sockets = machineSockets(spec.runDir);
    const record: MachineRecord = {
      backend: backendName(settings),
      spec,
      process,
      helpers,
      agentSocket: sockets.agent,
      controlSocket: sockets.control,
      layout: layoutOf(beginning),
      programs: settings.toolchain.id,
    };
    cleanup.disarm();
    return new QemuMachine(record, qmp, child, freePorts(spec, beginning));
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  }
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
