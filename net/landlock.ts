import { HyprError } from '../base/errors.ts';
import { runProgram } from '../base/host/process.ts';

/** The first Landlock ABI that can refuse to bind TCP ports (Linux 6.7). */
export const LANDLOCK_TCP_ABI = 4;

/** The kernel's Landlock ABI as the jail sees it; 0 when Landlock is not there or switched off. */
export const landlockAbi = async (jail: string, signal?: AbortSignal): Promise<number> => {
  const result = await runProgram(jail, ['--abi'], { timeout: 5000, ...(signal ? { signal } : {}) });
  const abi = /^\d{1,4}\n$/.test(result.stdout) ? Number(result.stdout) : undefined;
  if (result.code !== 0 || abi === undefined) {
    throw new HyprError('HYPR_INTERNAL', `${jail} --abi ended with exit code ${result.code}`, { details: [result.stderr.trim()] });
  }
  return abi;
};

/** What the jail put in place for one gvproxy. */
export interface JailReport {
  readonly landlock: number;
  /** File rights are confined by Landlock. */
  readonly files: boolean;
  /** Binding TCP ports is refused. */
  readonly tcpBind: boolean;
  readonly seccomp: boolean;
  /** Binding any internet address is refused, UDP too. */
  readonly bind: boolean;
  readonly netns: boolean;
}

/** Reads the jail's status line (`landlock=7 files=1 …`); undefined when it is an error or nonsense. */
export const parseJailReport = (line: string): JailReport | undefined => {
  const values = new Map<string, number>();
  for (const part of line.trim().split(' ')) {
    const match = /^([a-z-]+)=(\d{1,4})$/.exec(part);
    if (match?.[1] === undefined) {
      return undefined;
    }
    values.set(match[1], Number(match[2]));
  }
  const landlock = values.get('landlock');
  const flag = (name: string): boolean => values.get(name) === 1;
  return landlock === undefined
    ? undefined
    : {
        landlock,
        files: flag('files'),
        tcpBind: flag('tcp-bind'),
        seccomp: flag('seccomp'),
        bind: flag('bind'),
        netns: flag('netns'),
      };
};
