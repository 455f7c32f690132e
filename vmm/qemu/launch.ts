import { type ChildProcess, type IOType, spawn } from 'node:child_process';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Cleanup } from '../../base/cleanup.ts';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { withoutInherited } from '../../base/host/inherited.ts';
import { notePendingProcess } from '../../base/host/pending-processes.ts';
import { identifyProcess, isGone, type ProcessIdentity, signalProcess } from '../../base/host/process.ts';
import { awaitFile } from '../devices/await-socket.ts';
import { lastLines } from '../devices/console.ts';
import { childEnv } from '../model/environment.ts';
import type { MachineSpec } from '../model/machine.ts';
import { FENCE_REFUSED } from '../model/tools.ts';
import type { Saved } from './clone.ts';
import { type Beginning, buildQemuCommand, machineSockets, type QemuSettings } from './command.ts';
import { fenceCommand } from './fence.ts';
import { childEnd, stderrPath } from './process-end.ts';
import { connectQmp, type Qmp } from './qmp.ts';

const START_MS = 30_000;

export interface LaunchInput {
  readonly settings: QemuSettings;
  readonly spec: MachineSpec;
  /** Passed as descriptors from 3 on; those of the NICs come first. */
  readonly inherits: ReadonlyArray<Socket | IOType | 'ipc' | number>;
  readonly beginning: Beginning;
  /** The files that it begins from, which it can then read. */
  readonly saved?: Saved | undefined;
  /** Ends the process if what follows fails. */
  readonly cleanup: Cleanup;
  readonly signal?: AbortSignal | undefined;
  /** Called in the same turn of the event loop in which the process starts. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

export interface Launched {
  readonly child: ChildProcess;
  readonly process: ProcessIdentity;
  readonly qmp: Qmp;
}

/** Starts QEMU in its fence, with the guest stopped, and connects to its monitor. Throws VMM_START with QEMU's message, VMM_FENCE. */
export const launchQemu = async (input: LaunchInput): Promise<Launched> => {
  const { spec, cleanup, signal } = input;
  const child = await spawnQemu(input);
  const process = child.pid === undefined ? undefined : identifyProcess(child.pid);
  if (process === undefined) {
    throw await endError(child, spec);
  }
  cleanup.defer(() => isGone(process));
  cleanup.defer(() => signalProcess(process, 'SIGKILL'));
  const qmp = await connectMonitor({ child, process, spec, ...(signal ? { signal } : {}) });
  return { child, process, qmp };
};

/** The folders of a machine, empty. */
export const makeFolders = async (spec: MachineSpec): Promise<void> => {
  // Leftover sockets of a machine of the same name would be mistaken for this one's.
  await rm(spec.runDir, { recursive: true, force: true });
  await mkdir(spec.runDir, { recursive: true, mode: 0o700 });
  await mkdir(dirname(spec.consoleLog), { recursive: true, mode: 0o700 });
  // QEMU appends, so the log of an earlier boot would be mistaken for this one's.
  await writeFile(spec.consoleLog, '', { mode: 0o600 });
  await writeFile(stderrPath({ spec }), '', { mode: 0o600 });
};

/** In its own session, so that it survives Ctrl-C in the terminal and the end of this process. */
const spawnQemu = async ({ settings, spec, inherits, beginning, saved, onSpawn }: LaunchInput): Promise<ChildProcess> => {
  const own = { settings, spec, beginning, saved, inherits: inherits.length };
  const command = await fenceCommand(buildQemuCommand(settings, spec, beginning), own);
  const stderr = await open(stderrPath({ spec }), 'w', 0o600);
  const { stdio, done } = withoutInherited(['ignore', 'ignore', stderr.fd, ...inherits] as const);
  try {
    const child = spawn(command.file, [...command.args], { detached: true, cwd: '/', env: childEnv(command.env), stdio });
    noteChild(spec, child);
    onSpawn?.(child);
    child.unref();
    child.on('error', () => {});
    return child;
  } finally {
    done();
    await stderr.close();
  }
};

const noteChild = ({ runDir }: MachineSpec, { pid }: ChildProcess): void => {
  const identity = pid === undefined ? undefined : identifyProcess(pid);
  if (identity !== undefined) {
    notePendingProcess(runDir, identity);
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
    // A QEMU that ends closes its monitor first; the reason is in its log, not in the broken connection.
    throw (await isGone(process, ENDING_MS)) ? await endError(child, spec) : error;
  }
};

/** From the closing of its monitor to the end of a QEMU that could not start. */
const ENDING_MS = 1_000;

const endedEarly = (child: ChildProcess, spec: MachineSpec): Promise<never> =>
  new Promise((_, reject) => {
    const fail = () => void startError(child, spec).then(reject, reject);
    child.once('error', fail);
    child.once('exit', fail);
  });

const FENCE_HINT =
  'hypr doctor says what is missing: Landlock, or namespaces for this user; HYPR_FENCE=partial starts machines although files are not kept away';

/** Of a process that has ended, and of which Node may have no news yet. */
const endError = async (child: ChildProcess, spec: MachineSpec): Promise<HyprError> => {
  await withDeadline({ ms: ENDING_MS, what: 'the end of QEMU' }, () => childEnd(child)).catch(() => {});
  return startError(child, spec);
};

const startError = async (child: ChildProcess, spec: MachineSpec): Promise<HyprError> => {
  const lines = await lastLines(stderrPath({ spec }), 8);
  const details = lines.map((line) => line.replace(/^.*\/qemu-system-x86_64: /, 'qemu: '));
  return child.exitCode === FENCE_REFUSED
    ? new HyprError('VMM_FENCE', `${spec.name} is not started without a fence`, { details, hint: FENCE_HINT })
    : new HyprError('VMM_START', `QEMU did not start for ${spec.name}`, { details, hint: 'hypr doctor checks the toolchain' });
};
