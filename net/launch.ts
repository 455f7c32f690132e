import { type ChildProcess, spawn } from 'node:child_process';
import { type FileHandle, mkdir, open, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { onAbort } from '../base/abort.ts';
import { Cleanup } from '../base/cleanup.ts';
import { sleep, withDeadline } from '../base/deadline.ts';
import { HyprError, messageOf } from '../base/errors.ts';
import { writeFileAtomic } from '../base/host/files.ts';
import { notePendingProcess, sweepPendingProcesses } from '../base/host/pending-processes.ts';
import { identifyProcess } from '../base/host/process.ts';
import { logger } from '../base/log.ts';
import { buildGvproxyConfig, buildJailCommand, type NetworkPrograms, networkPaths } from './gvproxy-config.ts';
import { parseJailReport } from './landlock.ts';
import type { NetworkRecord, NetworkSpec } from './types.ts';

const log = logger('net');
const START_MS = 10_000;
const STATUS_FD = 3;

export interface Launched {
  readonly record: NetworkRecord;
  /** How the child ended, in words; never rejects. */
  readonly exited: Promise<string>;
}

/** Writes the run folder, starts gvproxy in its jail and waits until its API answers. Leaves nothing behind on failure. */
export const launchGvproxy = async (spec: NetworkSpec, programs: NetworkPrograms, parent?: AbortSignal): Promise<Launched> => {
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
  const paths = networkPaths(spec.runDir);
  const config = buildGvproxyConfig(spec);
  await prepareFolder(spec, cleanup);
  await writeFileAtomic(paths.config, config);
  signal.throwIfAborted();
  const { child, exited, said } = await spawnJail(spec, programs, signal);
  cleanup.defer(() => child.kill('SIGKILL') && exited);
  const status = await said;
  await writeFileAtomic(paths.jail, status);
  checkStatus(spec, status);
  await answering(spec, { socket: paths.socket, exited, signal });
  child.unref();
  return { record: { spec, process: identityOf(child, spec), socket: paths.socket }, exited };
};

const prepareFolder = async (spec: NetworkSpec, cleanup: Cleanup): Promise<void> => {
  const { socket } = networkPaths(spec.runDir);
  // A supervisor that was killed may have left a network that it had only started to make.
  await sweepPendingProcesses(spec.runDir);
  if (await answers(socket)) {
    throw new HyprError('NET_START', `network ${spec.name} is running already`, { hint: 'run the command again: it takes over what runs' });
  }
  await rm(spec.runDir, { recursive: true, force: true });
  await mkdir(spec.runDir, { recursive: true, mode: 0o700 });
  cleanup.defer(() => rm(spec.runDir, { recursive: true, force: true }));
  await mkdir(dirname(spec.log), { recursive: true, mode: 0o700 });
};

interface Jailed {
  readonly child: ChildProcess;
  readonly exited: Promise<string>;
  readonly said: Promise<string>;
}

/** Listened to from the first moment: the end of a child that ended at once, and what it said, go by when nobody does. */
const spawnJail = async (spec: NetworkSpec, programs: NetworkPrograms, signal: AbortSignal): Promise<Jailed> => {
  const command = buildJailCommand(spec, programs, STATUS_FD);
  const output: FileHandle = await open(spec.log, 'a', 0o600);
  try {
    const child = spawn(command.file, command.args, {
      cwd: '/',
      detached: true,
      env: resolverEnv(),
      stdio: ['ignore', output.fd, output.fd, 'pipe'],
    });
    noteChild(spec, child);
    const exited = describeExit(child, spec);
    const said = readStatus(child, signal);
    said.catch(() => {});
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    return { child, exited, said };
  } finally {
    await output.close();
  }
};

/** The jail becomes gvproxy: it is the same process. */
const noteChild = ({ runDir }: NetworkSpec, { pid }: ChildProcess): void => {
  const identity = pid === undefined ? undefined : identifyProcess(pid);
  if (identity !== undefined) {
    notePendingProcess(runDir, identity);
  }
};

/** Only what steers name resolution: anything else in the environment is no business of gvproxy's. */
const resolverEnv = (): NodeJS.ProcessEnv => {
  const env: NodeJS.ProcessEnv = { PATH: '/usr/bin:/bin' };
  for (const name of ['RES_OPTIONS', 'LOCALDOMAIN']) {
    if (process.env[name] !== undefined) {
      env[name] = process.env[name];
    }
  }
  return env;
};

const describeExit = (child: ChildProcess, spec: NetworkSpec): Promise<string> =>
  new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      void lastLines(spec.log, 1).then(([line]) => resolve(`gvproxy ended ${how}${line === undefined ? '' : `: ${line}`}`));
    });
  });

/** The jail closes the pipe by starting gvproxy, or by giving up. */
const readStatus = async (child: ChildProcess, signal: AbortSignal): Promise<string> => {
  const pipe = child.stdio[STATUS_FD] as Readable;
  const leave = onAbort(signal, () => pipe.destroy());
  try {
    let text = '';
    for await (const chunk of pipe) {
      text = `${text}${String(chunk)}`.slice(0, 4096);
    }
    return text;
  } finally {
    leave();
    pipe.destroy();
  }
};

const checkStatus = (spec: NetworkSpec, status: string): void => {
  const error = /^error=(.*)$/m.exec(status)?.[1];
  const report = parseJailReport(status);
  if (error !== undefined || report === undefined) {
    throw new HyprError('NET_START', `network ${spec.name} was not started: ${error ?? 'its jail gave no answer'}`, {
      hint: 'hypr doctor says what this kernel offers',
    });
  }
  if (!report.tcpBind && !report.bind && !spec.internal) {
    log.warn(
      'this kernel cannot keep guests from opening TCP ports of the host (Landlock ABI 4, Linux 6.7); they are closed within seconds',
      {
        network: spec.name,
        ...report,
      },
    );
  }
};

/**
 * Waits until the API takes connections. A watch on the folder would not do: the socket's file is there from
 * bind on, and only listen, of which there is no event, makes it answer.
 */
const answering = async (spec: NetworkSpec, options: { socket: string; exited: Promise<string>; signal: AbortSignal }): Promise<void> => {
  let ended: string | undefined;
  void options.exited.then((detail) => {
    ended = detail;
  });
  while (!(await answers(options.socket))) {
    if (ended !== undefined) {
      throw new HyprError('NET_START', `network ${spec.name} did not start: ${ended}`, { details: await lastLines(spec.log, 6) });
    }
    await sleep(5, options.signal);
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
