import { spawn } from 'node:child_process';
import type { CliResult } from './cli.ts';

/** Runs a program as another user (root only), with exactly the given environment. */
export const runAs = (options: {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly ids: { readonly uid: number; readonly gid: number };
  readonly timeout: number;
}): Promise<CliResult> =>
  new Promise((resolve, reject) => {
    const { uid, gid } = options.ids;
    const child = spawn('setpriv', [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--', options.file, ...options.args], {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeout,
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
    child.on('close', (code) => resolve({ code: code ?? 137, ...text }));
  });
