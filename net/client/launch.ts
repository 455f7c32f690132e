import { type ChildProcess, spawn } from 'node:child_process';
import { type FileHandle, mkdir, open, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { onAbort } from '../../base/abort.ts';
import { Cleanup } from '../../base/cleanup.ts';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { confine, removeCgroup } from '../../base/host/cgroup.ts';
import { notePendingProcess, sweepPendingProcesses } from '../../base/host/pending-processes.ts';
import { identifyProcess } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import type { NetworkRecord, NetworkSpec } from '../types.ts';
import { buildGatewayConfig, type NetworkPrograms, networkSocket } from './config.ts';
import { GatewayControl } from './control.ts';
import { type GatewayStatus, parseStatus } from './fence.ts';
import { readResolvers } from './resolvers.ts';

const log = logger('net');
const START_MS = 10_000;
const STATUS_FD = 3;
/** Ten times what 25,000 flows take, and threads of Go's: limits of a gateway that was taken over, not of one that works. */
const LIMITS = { memoryBytes: 1024 * 2 ** 20, cpus: 4, tasks: 128 };

export interface Launched {
  readonly record: NetworkRecord;
  readonly control: GatewayControl;
  /** How the child exited, in words; never rejects. */
  readonly exited: Promise<string>;
}

/** Creates the run folder, starts the gateway, and waits until it is sandboxed and answers. Leaves nothing behind on failure. */
export const launchGateway = async (spec: NetworkSpec, programs: NetworkPrograms, parent?: AbortSignal): Promise<Launched> => {
  const cleanup = new Cleanup();
  let work: Promise<Launched> | undefined;
  try {
    const launched = await withDeadline({ ms: START_MS, what: `the start of network ${spec.name}`, signal: parent }, (signal) => {
      work = launch(spec, programs, { cleanup, signal });
      return work;
    });
    cleanup.disarm();
    return launched;
  } catch (error) {
    await work?.catch(() => {});
    await cleanup.run();
    throw error instanceof HyprError
      ? error
      : new HyprError('NET_START', `network ${spec.name} did not start: ${messageOf(error)}`, { cause: error });
  }
};

const launch = async (
  spec: NetworkSpec,
  programs: NetworkPrograms,
  { cleanup, signal }: { cleanup: Cleanup; signal: AbortSignal },
): Promise<Launched> => {
  const config = buildGatewayConfig(spec, await readResolvers());
  await prepareFolder(spec, cleanup);
  signal.throwIfAborted();
  const { child, exited, status } = await spawnGateway(spec, programs, { config, signal });
  let cgroup: string | undefined;
  // After the end of the process, which is deferred later.
  cleanup.defer(() => cgroup && removeCgroup(cgroup));
  cleanup.defer(() => child.kill('SIGKILL') && exited);
  await checkStatus(spec, { status: await status, exited });
  const socket = networkSocket(spec.runDir);
  const control = await GatewayControl.open(socket, signal);
  cleanup.defer(() => control.close());
  const identity = identityOf(child, spec);
  cgroup = await confine([identity.pid], { limits: LIMITS, name: `network-${spec.name}`, runDir: spec.runDir });
  const record = { spec, process: identity, socket, ...(cgroup === undefined ? {} : { cgroup }) };
  child.unref();
  return { record, control, exited };
};

const prepareFolder = async (spec: NetworkSpec, cleanup: Cleanup): Promise<void> => {
  // A supervisor that was killed may have left a gateway that was still starting.
  await sweepPendingProcesses(spec.runDir);
  if (await answers(networkSocket(spec.runDir))) {
    throw new HyprError('NET_START', `network ${spec.name} is running already`, { hint: 'run the command again: it takes over what runs' });
  }
  await rm(spec.runDir, { recursive: true, force: true });
  await mkdir(spec.runDir, { recursive: true, mode: 0o700 });
  cleanup.defer(() => rm(spec.runDir, { recursive: true, force: true }));
  await mkdir(dirname(spec.log), { recursive: true, mode: 0o700 });
};

interface Spawned {
  readonly child: ChildProcess;
  readonly exited: Promise<string>;
  readonly status: Promise<GatewayStatus | undefined>;
}

/** Listeners are attached immediately: the exit of a child that fails at once, and its output, would otherwise be missed. */
const spawnGateway = async (
  spec: NetworkSpec,
  programs: NetworkPrograms,
  { config, signal }: { config: object; signal: AbortSignal },
): Promise<Spawned> => {
  const output: FileHandle = await open(spec.log, 'a', 0o600);
  try {
    // The gateway needs nothing of the environment. Name and folder are for `ps`; the folder tells networks of other homes apart.
    const child = spawn(programs.gvproxy.file, ['run', spec.name, spec.runDir], {
      cwd: '/',
      detached: true,
      env: {},
      stdio: ['pipe', output.fd, output.fd, 'pipe'],
    });
    noteChild(spec, child);
    const exited = describeExit(child, spec);
    const status = readStatus(child, signal);
    status.catch(() => {});
    const stdin = child.stdin as Writable;
    stdin.on('error', () => {});
    stdin.end(JSON.stringify(config));
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    return { child, exited, status };
  } finally {
    await output.close();
  }
};

/** The pid stays valid: the gateway re-executes itself in the same process. */
const noteChild = ({ runDir }: NetworkSpec, { pid }: ChildProcess): void => {
  const identity = pid === undefined ? undefined : identifyProcess(pid);
  if (identity !== undefined) {
    notePendingProcess(runDir, identity);
  }
};

const describeExit = (child: ChildProcess, spec: NetworkSpec): Promise<string> =>
  new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      void lastLines(spec.log, 1).then(([line]) => resolve(`gvproxy ended ${how}${line === undefined ? '' : `: ${line}`}`));
    });
  });

/** The gateway closes the pipe when it is ready, or gives up. */
const readStatus = async (child: ChildProcess, signal: AbortSignal): Promise<GatewayStatus | undefined> => {
  const pipe = child.stdio[STATUS_FD] as Readable;
  const leave = onAbort(signal, () => pipe.destroy());
  try {
    let text = '';
    for await (const chunk of pipe) {
      text = `${text}${String(chunk)}`.slice(0, 4096);
    }
    return parseStatus(text);
  } finally {
    leave();
    pipe.destroy();
  }
};

const checkStatus = async (
  spec: NetworkSpec,
  { status, exited }: { status: GatewayStatus | undefined; exited: Promise<string> },
): Promise<void> => {
  if (status === undefined) {
    throw new HyprError('NET_START', `network ${spec.name} did not start: ${await exited}`, { details: await lastLines(spec.log, 6) });
  }
  if ('error' in status) {
    throw new HyprError('NET_START', `network ${spec.name} was not started: ${status.error}`, {
      hint: 'hypr doctor says what this kernel offers',
    });
  }
  if (status.fence.landlock === 0) {
    log.warn('this kernel has no Landlock: the fence of a network is its system call filter alone', { network: spec.name });
  }
};

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ path });
    const settle = (yes: boolean) => (): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', settle(true)).once('error', settle(false));
  });

const identityOf = (child: ChildProcess, spec: NetworkSpec): NetworkRecord['process'] => {
  const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
  if (identity === undefined) {
    throw new HyprError('NET_START', `network ${spec.name} ended right after its start`);
  }
  return identity;
};

const lastLines = async (path: string, count: number): Promise<string[]> => {
  try {
    const text = await readFile(path, 'utf8');
    return text
      .slice(-8192)
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(-count);
  } catch {
    return [];
  }
};
