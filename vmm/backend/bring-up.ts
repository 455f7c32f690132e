import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { Cleanup } from '../../base/cleanup.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { confine } from '../../base/host/cgroup.ts';
import { notePendingProcess } from '../../base/host/pending-processes.ts';
import { isGone, signalProcess } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import { lastLines } from '../devices/console.ts';
import { makeExt4Disk } from '../devices/disks.ts';
import { type ShareDaemon, startVirtiofsd } from '../devices/virtiofsd.ts';
import type { Machine, MachineRecord, MachineSpec } from '../model/machine.ts';
import { memoryClass } from '../model/memory-class.ts';
import { loadClone, loadWhole, type Saved } from '../qemu/clone.ts';
import { type Beginning, layoutOf, machineSockets, type QemuSettings } from '../qemu/command.ts';
import { launchQemu, makeFolders } from '../qemu/launch.ts';
import { QemuMachine } from '../qemu/machine.ts';
import { machineLimits } from '../qemu/machine-limits.ts';
import { writesToMemory } from '../qemu/memory-files.ts';
import { unusedPorts } from '../qemu/nics.ts';
import { stderrPath } from '../qemu/process-end.ts';
import { connectQmp } from '../qemu/qmp.ts';
import type { Template, Templates } from '../template/types.ts';
import { removeMadeLayer } from '../zygote/zygote.ts';
import type { ZygotePool } from '../zygote/zygote-pool.ts';

const log = logger('vmm');

export interface CreateInput {
  readonly settings: QemuSettings;
  readonly spec: MachineSpec;
  readonly nicSockets: readonly Socket[];
  readonly templates: Templates | undefined;
  readonly zygotePool: ZygotePool;
  readonly signal?: AbortSignal | undefined;
  /** The template that the machine is a clone of. */
  readonly template?: Template;
}

export const backendName = (settings: QemuSettings): string => `qemu-${settings.accelerator}`;

/** Starts a QEMU whose guest is stopped before its first instruction, or at the point where its template was saved. */
export const bringUp = async (input: CreateInput, beginning: Beginning, saved?: Saved): Promise<Machine> => {
  const { settings, spec, nicSockets, signal } = input;
  const cleanup = new Cleanup();
  try {
    cleanup.defer(() => rm(spec.runDir, { recursive: true, force: true }));
    await makeFolders(spec);
    if (beginning.kind !== 'restored') {
      await makeBlanks(settings, spec, signal);
    }
    const daemons = await startShares(settings, spec, cleanup, signal);
    const helpers = daemons.map((daemon) => daemon.process);
    const { child, process, qmp } = await launchQemu({ settings, spec, inherits: nicSockets, beginning, saved, cleanup, signal });
    if (saved !== undefined) {
      const loading =
        beginning.kind === 'restored'
          ? loadWhole({ qmp, state: saved.state, signal, memoryMib: spec.memoryMib })
          : loadClone({ qmp, spec, saved, signal });
      await loading.catch(async (error: unknown) => {
        // What QEMU wrote about it is removed with its folder.
        throw new HyprError('VMM_START', messageOf(error), { details: await lastLines(stderrPath({ spec }), 8), cause: error });
      });
    }
    const record = await recordOf(input, { process, helpers, layout: layoutOf(beginning) });
    cleanup.disarm();
    const parts = { child, daemons: daemons.map((daemon) => daemon.child), freePorts: unusedPorts(record) };
    return new QemuMachine(record, qmp, { ...parts, launcher: settings.toolchain.machineJail });
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  }
};

/** A machine forked from a zygote, with its writable layer; undefined when there is no zygote or the copy failed. */
export const bringUpCopy = async (input: CreateInput, template: Template): Promise<Machine | undefined> => {
  const { settings, spec, nicSockets, zygotePool, signal } = input;
  if (template.upper === undefined) {
    return undefined;
  }
  const cleanup = new Cleanup();
  try {
    cleanup.defer(() => rm(spec.runDir, { recursive: true, force: true }));
    await makeFolders(spec);
    const process = await zygotePool.copy({ spec, template, nics: nicSockets, signal });
    if (process === undefined) {
      await cleanup.run();
      return undefined;
    }
    cleanup.defer(() => removeMadeLayer(spec));
    cleanup.defer(() => isGone(process));
    cleanup.defer(() => signalProcess(process, 'SIGKILL'));
    notePendingProcess(spec.runDir, process);
    const qmp = await connectQmp(machineSockets(spec.runDir).control, signal);
    const record = await recordOf({ ...input, template }, { process, helpers: [], layout: 'clone' });
    cleanup.disarm();
    return new QemuMachine(record, qmp, { child: undefined, freePorts: unusedPorts(record), launcher: settings.toolchain.machineJail });
  } catch (error) {
    await cleanup.run().catch(() => {});
    signal?.throwIfAborted();
    log.warn('a copy failed; starting the machine', { machine: spec.name, template: template.key, reason: messageOf(error) });
    return undefined;
  }
};

/** The record of a machine, which is in its cgroup before its guest runs. */
const recordOf = async (
  { settings, spec, template }: CreateInput,
  { process, helpers, layout }: Pick<MachineRecord, 'process' | 'helpers' | 'layout'>,
): Promise<MachineRecord> => {
  const { agent, control } = machineSockets(spec.runDir);
  const ahead = template?.upper === undefined ? {} : { rooted: true as const };
  const origin = { layout, programs: settings.toolchain.id, ...(template === undefined ? {} : { template: template.key }), ...ahead };
  const size = { memoryMib: memoryClass(spec.memoryMib), vcpus: spec.vcpus, shares: helpers.length };
  const limits = machineLimits({ ...size, filesInMemory: await writesToMemory(spec), accelerated: settings.accelerator === 'kvm' });
  const pids = [process, ...helpers].map(({ pid }) => pid);
  const cgroup = await confine(pids, { limits, name: spec.name, runDir: spec.runDir });
  const own = { backend: backendName(settings), spec, process, helpers, agentSocket: agent, controlSocket: control };
  return { ...own, ...origin, ...(cgroup === undefined ? {} : { cgroup }) };
};

const makeBlanks = async ({ toolchain }: QemuSettings, { disks }: MachineSpec, signal?: AbortSignal): Promise<void> => {
  await Promise.all(
    disks.map(({ path, blank }) => (blank === undefined ? undefined : makeExt4Disk({ path, ...blank, mkfs: toolchain.mkfsExt4, signal }))),
  );
};

const startShares = async (settings: QemuSettings, spec: MachineSpec, cleanup: Cleanup, signal?: AbortSignal): Promise<ShareDaemon[]> => {
  const sockets = machineSockets(spec.runDir);
  const started = await Promise.allSettled(
    spec.shares.map(async (share, index) => {
      const { virtiofsd: tool, shareJail: fence, sharePreload: preload } = settings.toolchain;
      const options = { tool, fence, preload, share, socket: sockets.share(index), log: `${spec.runDir}/fs${index}.log` };
      const daemon = await startVirtiofsd(signal ? { ...options, signal } : options);
      notePendingProcess(spec.runDir, daemon.process);
      cleanup.defer(() => signalProcess(daemon.process, 'SIGKILL'));
      return daemon;
    }),
  );
  const failed = started.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    throw failed.reason;
  }
  return started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
};
