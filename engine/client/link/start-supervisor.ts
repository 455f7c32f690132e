import { spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withDeadline } from '../../../base/deadline.ts';
import { type ErrorJson, errorFromJson, HyprError } from '../../../base/errors.ts';
import type { HomePaths } from '../../../base/paths.ts';
import { traced, traceParent, tracePath } from '../../../base/trace/trace.ts';

/** The message on descriptor 3: the supervisor is ready, or why it failed. */
export type ReadyMessage = { readonly ready: true; readonly recovered: readonly string[] } | { readonly error: ErrorJson };

const READY_DEADLINE_MS = 120_000;

/** Starts a stack's supervisor as its own process and waits for its ready message or its exit, so that a crash cannot hang the command. */
export const startSupervisor = async (stack: string, paths: HomePaths, signal?: AbortSignal): Promise<readonly string[]> => {
  const stderrPath = supervisorErrors(paths, stack);
  await mkdir(dirname(stderrPath), { recursive: true, mode: 0o700 });
  const stderr = await open(stderrPath, 'w', 0o600);
  try {
    return await traced('start the supervisor', undefined, () =>
      withDeadline({ ms: READY_DEADLINE_MS, what: `the supervisor of ${stack}`, signal }, () => launch(stack, stderr.fd, stderrPath)),
    );
  } finally {
    await stderr.close();
  }
};

/** The supervisor's stderr; empty unless it failed. */
export const supervisorErrors = (paths: HomePaths, stack: string): string => join(paths.logs, stack, 'supervisor.err');

const launch = (stack: string, stderr: number, stderrPath: string): Promise<readonly string[]> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [supervisorScript(), stack], {
      detached: true,
      cwd: '/',
      env: supervisorEnv(process.env),
      stdio: ['ignore', 'ignore', stderr, 'pipe'],
    });
    let text = '';
    const pipe = child.stdio[3];
    pipe?.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
    });
    pipe?.on('end', () => {
      child.unref();
      try {
        const message = JSON.parse(text) as ReadyMessage;
        if ('error' in message) {
          reject(errorFromJson(message.error));
        } else {
          resolve(message.recovered);
        }
      } catch {
        reject(
          new HyprError('SUPERVISOR_FAILED', `the supervisor of ${stack} ended before it was ready`, {
            hint: `its last words are in ${stderrPath}`,
          }),
        );
      }
    });
    child.on('error', reject);
  });

/** The environment of a supervisor: the NODE_OPTIONS of the caller's shell are not for hypr's Node, HYPR_NODE_OPTIONS are. */
export const supervisorEnv = ({ NODE_OPTIONS: _, TRACEPARENT: asker, ...env }: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  ...env,
  ...withTraceParent(asker),
  ...(env.HYPR_NODE_OPTIONS ? { NODE_OPTIONS: env.HYPR_NODE_OPTIONS } : {}),
  ...(tracePath === undefined ? {} : { HYPR_TRACE: tracePath }),
});

const withTraceParent = (asker: string | undefined): NodeJS.ProcessEnv => {
  const parent = traceParent() ?? asker;
  return parent === undefined ? {} : { TRACEPARENT: parent };
};

/** The supervisor's script, next to the running bundle. */
const supervisorScript = (): string => process.env.HYPR_SUPERVISOR ?? join(dirname(fileURLToPath(import.meta.url)), 'supervisor.cjs');
