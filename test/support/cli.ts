import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const hyprBin = join(root, 'bin', 'hypr');

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly input?: string;
  /** A program, and its first arguments, that starts hypr. */
  readonly through?: readonly [string, ...string[]];
  /** Milliseconds until SIGKILL: a hang must fail a test, not stop the suite. */
  readonly timeout?: number;
}

/** Runs the built CLI to its end. */
export const hypr = (args: readonly string[], options: CliOptions = {}): Promise<CliResult> =>
  new Promise((resolve, reject) => {
    const [program, ...before] = options.through ?? [];
    const child = spawn(program ?? hyprBin, [...before, ...(program === undefined ? [] : [hyprBin]), ...args], {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: 'pipe',
      timeout: options.timeout ?? 180_000,
      killSignal: 'SIGKILL',
    });
    const text = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text.stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text.stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? (signal === null ? 1 : 137), ...text }));
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });

/** Like hypr, but a failure is an error that shows everything it printed. */
export const mustHypr = async (args: readonly string[], options: CliOptions = {}): Promise<string> => {
  const result = await hypr(args, options);
  if (result.code !== 0) {
    throw new Error(`hypr ${args.join(' ')} ended with ${result.code}\n${result.stdout}\n${result.stderr}`);
  }
  return result.stdout;
};
