import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { sleep } from '../deadline.ts';
import { HyprError, isErrno } from '../errors.ts';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** Milliseconds; the child gets SIGKILL after that. Default 10 minutes. */
  readonly timeout?: number;
  /** How many characters of each of its outputs are taken; a program that says more is killed. Default: all. */
  readonly most?: number;
  /** Called with each chunk of stdout and stderr, for progress. */
  readonly onOutput?: (chunk: string) => void;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, without a shell, and returns its output. Rejects only if it cannot be started or is aborted. */
export const runProgram = (file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(file, [...args], {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeout ?? 600_000,
      killSignal: 'SIGKILL',
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const most = options.most ?? Number.POSITIVE_INFINITY;
    let stdout = '';
    let stderr = '';
    const take = (text: string, chunk: string): string => {
      options.onOutput?.(chunk);
      if (text.length + chunk.length <= most) {
        return text + chunk;
      }
      child.kill('SIGKILL');
      return (text + chunk).slice(0, most);
    };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout = take(stdout, chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = take(stderr, chunk);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? 128 + (signal === 'SIGKILL' ? 9 : 15), stdout, stderr }));
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
  });

/** Like runProgram, but a non-zero exit throws TOOLCHAIN_FAILED with the last lines of its output. */
export const mustRun = async (file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> => {
  const result = await runProgram(file, args, options);
  if (result.code !== 0) {
    const lines = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-12);
    throw new HyprError('TOOLCHAIN_FAILED', `${file} ended with exit code ${result.code}`, { details: lines });
  }
  return result;
};

/** Identifies a process: its start time (clock ticks since boot, /proc/PID/stat field 22) tells it from a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

/** The identity of a live process, or undefined if there is none (a zombie counts as none). */
export const identifyProcess = (pid: number): ProcessIdentity | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : { pid, startTime: fields[19] ?? '' };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) {
      return undefined;
    }
    throw error;
  }
};

/** Whether a process was stopped by a signal (SIGSTOP) or a debugger, and does not run until it is continued. */
export const isStopped = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return /^[Tt]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
};

/** The pid of its parent; undefined if there is no such process. */
export const parentOf = (pid: number): number | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) {
      return undefined;
    }
    throw error;
  }
};

export const isAlive = (identity: ProcessIdentity): boolean => identifyProcess(identity.pid)?.startTime === identity.startTime;

/** Sends a signal to exactly that process; false if it has ended. */
export const signalProcess = (identity: ProcessIdentity, signal: NodeJS.Signals): boolean => {
  if (!isAlive(identity)) {
    return false;
  }
  try {
    return process.kill(identity.pid, signal);
  } catch (error) {
    if (isErrno(error, 'ESRCH')) {
      return false;
    }
    throw error;
  }
};

/** Time for the kernel to end a process after SIGKILL. */
export const GONE_MS = 10_000;

/** Waits for the end of a process. It polls, because a process that is not our child gives no event; the end is milliseconds away. */
export const isGone = async (identity: ProcessIdentity, ms: number = GONE_MS): Promise<boolean> => {
  const deadline = Date.now() + ms;
  while (isAlive(identity)) {
    if (Date.now() >= deadline) {
      return false;
    }
    await sleep(5);
  }
  return true;
};
