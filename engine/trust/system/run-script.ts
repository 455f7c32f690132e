import { spawn } from 'node:child_process';
import { HyprError } from '../../../base/errors.ts';
import { findInPath } from '../../../vmm/toolchain/host-programs.ts';

/**
 * Runs a script as root: directly if this process is root, else by one sudo, which asks on the terminal. The script goes over standard
 * input, so that what runs is what was printed. Throws SETUP_REFUSED when there is no sudo, or the script failed.
 */
export const runAsRoot = async (script: string, signal: AbortSignal): Promise<void> => {
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && (await findInPath('sudo')) === undefined) {
    throw new HyprError('SETUP_REFUSED', 'this takes root once, and there is no sudo here', {
      hint: 'as root: sh FILE, with what the same command prints with --dry-run in FILE',
    });
  }
  const [file, ...args] = isRoot ? ['sh', '-s'] : ['sudo', 'sh', '-s'];
  const code = await new Promise<number>((resolve, reject) => {
    const child = spawn(file ?? 'sh', args, { stdio: ['pipe', 'ignore', 'inherit'], signal });
    child.on('error', reject).on('close', (status) => resolve(status ?? 1));
    child.stdin.on('error', () => {});
    child.stdin.end(script);
  });
  if (code !== 0) {
    throw new HyprError('SETUP_REFUSED', `what was to be done as root ended with exit code ${code}`, {
      hint: 'the reason is above; hypr setup --undo removes what was done until then',
    });
  }
};
