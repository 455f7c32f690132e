import { spawn } from 'node:child_process';
import { withoutInherited } from '../../base/host/inherited.ts';

/**
 * Ends a process when this one ends, even by SIGKILL: a shell reads from a pipe whose other end only this process holds, and
 * which the kernel closes when it ends. Call `release` when the process has ended by itself.
 */
export const endWithUs = (pid: number): { release(): void } => {
  const { stdio, done } = withoutInherited(['pipe', 'ignore', 'ignore'] as const);
  const child = spawn('/bin/sh', ['-c', 'read -r _; kill -9 "$1"', 'sh', String(pid)], {
    // Ctrl-C in the terminal must reach this process only, not the guard.
    detached: true,
    stdio,
  });
  done();
  child.on('error', () => {});
  child.stdin?.on('error', () => {});
  child.unref();
  return { release: () => void child.kill('SIGKILL') };
};
