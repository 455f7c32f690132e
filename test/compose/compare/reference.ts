import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** What a run of `config` came to. */
export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How long docker compose may take for one file before it counts as hanging. */
const TIMEOUT_MS = 8000;
const MAX_OUTPUT = 64 << 20;

/**
 * A docker-compose binary: HYPR_COMPARE_COMPOSE, else `docker-compose` in PATH, else docker's plugin
 * folders. Undefined if there is none.
 */
export const findReference = async (env: NodeJS.ProcessEnv): Promise<string | undefined> => {
  if (env.HYPR_COMPARE_COMPOSE) {
    return env.HYPR_COMPARE_COMPOSE;
  }
  const plugins = [join(homedir(), '.docker/cli-plugins'), '/usr/local/lib/docker/cli-plugins', '/usr/local/libexec/docker/cli-plugins'];
  const folders = [...(env.PATH ?? '').split(delimiter), ...plugins, '/usr/lib/docker/cli-plugins', '/usr/libexec/docker/cli-plugins'];
  for (const folder of folders) {
    const path = join(folder, 'docker-compose');
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    ) {
      return path;
    }
  }
  return undefined;
};

/** Runs the reference without a daemon to talk to and without anything of the caller's environment. */
export const runReference = (
  binary: string,
  args: readonly string[],
  options: { cwd: string; env: Record<string, string> },
): Promise<Answer> =>
  new Promise((settle) => {
    const env = { PATH: process.env.PATH ?? '', DOCKER_HOST: 'unix:///nonexistent', GIT_TERMINAL_PROMPT: '0', ...options.env };
    execFile(
      binary,
      [...args],
      { cwd: options.cwd, env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 124;
        settle({ code, stdout, stderr });
      },
    ).stdin?.end();
  });
