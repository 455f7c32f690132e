import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { Cleanup } from '../../base/cleanup.ts';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { identifyProcess, isAlive, type ProcessIdentity, signalProcess } from '../../base/process.ts';
import { awaitFile } from '../await-socket.ts';
import { lastLines } from '../console.ts';
import { childEnv } from '../environment.ts';
import type { Machine, MachineRecord, MachineSpec, Vmm } from '../machine.ts';
import { startVirtiofsd } from '../virtiofsd.ts';
import { buildQemuCommand, machineSockets, type QemuSettings } from './command.ts';
import { isGone, QemuMachine, removeLeftovers, stderrPath } from './machine.ts';
import { connectQmp, type Qmp } from './qmp.ts';

const START_MS = 30_000;

/** The QEMU backend, for KVM and for software emulation alike. */
export const createQemuVmm = (settings: QemuSettings): Vmm => ({
  name: `qemu-${settings.accelerator}`,
  capabilities: {
    accelerated: settings.accelerator === 'kvm',
    pause: true,
    shares: settings.toolchain.virtiofsd !== undefined,
    hotplug: false,
    snapshot: false,
  },
  buildCommand: (spec) => buildQemuCommand(settings, spec),
  create: (spec, nicSockets, signal) => createMachine(settings, spec, nicSockets, signal),
  adopt: adoptMachine,
  sweep: sweepMachine,
});

const createMachine = async (
  settings: QemuSettings,
  spec: MachineSpec,
  nicSockets: readonly Socket[],
  signal?: AbortSignal,
): Promise<Machine> => {
  const cleanup = new Cleanup();
  try {
    signal?.throwIfAborted();
    checkSpec(spec, nicSockets);
    await makeFolders(spec);
    cleanup.defer(() => rm(spec.runDir, { recursive: true, force: true }));
    const helpers = await startShares(settings, spec, cleanup, signal);
    const child = await spawnQemu(settings, spec, nicSockets);
    const process = child.pid === undefined ? undefined : identifyProcess(child.pid);
    if (process === undefined) {
      throw await startError(spec);
    }
    cleanup.defer(() => isGone(process));
    cleanup.defer(() => signalProcess(process, 'SIGKILL'));
    const sockets = machineSockets(spec.runDir);
    const qmp = await connectMonitor({ child, process, spec, ...(signal ? { signal } : {}) });
    const backend = `qemu-${settings.accelerator}`;
    const record: MachineRecord = { backend, spec, process, helpers, agentSocket: sockets.agent, controlSocket: sockets.control };
    cleanup.disarm();
    return new QemuMachine(record, qmp, child);
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  } finally {
    destroyAll(nicSockets);
  }
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

const makeFolders = async (spec: MachineSpec): Promise<void> => {
  // What a machine of the same name left behind would be taken for this one's sockets.
  await rm(spec.runDir, { recursive: true, force: true });
  await mkdir(spec.runDir, { recursive: true, mode: 0o700 });
  await mkdir(dirname(spec.consoleLog), { recursive: true, mode: 0o700 });
  // QEMU appends: a log of the boot before would be read as this one's last words.
  await writeFile(spec.consoleLog, '', { mode: 0o600 });
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

/** In a session of its own: a terminal's Ctrl-C and the death of this process are not its end. */
const spawnQemu = async (settings: QemuSettings, spec: MachineSpec, nicSockets: readonly Socket[]): Promise<ChildProcess> => {
  const command = buildQemuCommand(settings, spec);
  const stderr = await open(stderrPath({ spec }), 'w', 0o600);
  try {
    const child = spawn(command.file, [...command.args], {
      detached: true,
      cwd: '/',
      env: childEnv(command.env),
      stdio: ['ignore', 'ignore', stderr.fd, ...nicSockets],
    });
    child.unref();
    child.on('error', () => {});
    // The child has its own copy of each descriptor; ours must go, or the network never sees the machine's end.
    destroyAll(nicSockets);
    return child;
  } finally {
    await stderr.close();
  }
};

interface Started {
  readonly child: ChildProcess;
  readonly process: ProcessIdentity;
  readonly spec: MachineSpec;
  readonly signal?: AbortSignal;
}

const connectMonitor = async ({ child, process, spec, signal }: Started): Promise<Qmp> => {
  const { control } = machineSockets(spec.runDir);
  try {
    return await withDeadline({ ms: START_MS, what: `the start of QEMU for ${spec.name}`, signal }, async (deadline) => {
      await Promise.race([awaitFile(control, deadline), endedEarly(child, spec)]);
      return Promise.race([connectQmp(control, deadline), endedEarly(child, spec)]);
    });
  } catch (error) {
    signal?.throwIfAborted();
    // A QEMU that ends closes its monitor first; why it did is in its own words, not in the broken connection.
    throw (await isGone(process, ENDING_MS)) ? await startError(spec) : error;
  }
};

/** From the closing of its monitor to the end of a QEMU that could not start. */
const ENDING_MS = 1_000;

const endedEarly = (child: ChildProcess, spec: MachineSpec): Promise<never> =>
  new Promise((_, reject) => {
    const fail = () => void startError(spec).then(reject, reject);
    child.once('error', fail);
    child.once('exit', fail);
  });

const startError = async (spec: MachineSpec): Promise<HyprError> =>
  new HyprError('VMM_START', `QEMU did not start for ${spec.name}`, {
    details: (await lastLines(stderrPath({ spec }), 8)).map((line) => line.replace(/^.*\/qemu-system-x86_64: /, 'qemu: ')),
    hint: 'hypr doctor checks the toolchain',
  });

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
