import { readFile, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { diskError, writeFileAtomic } from '../../../base/host/files.ts';
import { withLock } from '../../../base/host/lock.ts';

/** An entry of `auths`; `auth` is the base64 of user:password. */
export interface DockerAuth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

/** The part of docker's config.json that is about registries. */
export interface DockerConfig {
  readonly auths?: Readonly<Record<string, DockerAuth>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

/** `~/.docker/config.json`, or the one in DOCKER_CONFIG. */
export const dockerConfigPath = (env: NodeJS.ProcessEnv): string =>
  join(env.DOCKER_CONFIG || join(env.HOME ?? homedir(), '.docker'), 'config.json');

/** Empty if there is no file. Throws REGISTRY_AUTH if it cannot be read or is not a JSON object. */
export const readDockerConfig = async (path: string): Promise<DockerConfig> => (await readText(path)).config;

const readText = async (path: string): Promise<{ text: string; config: DockerConfig }> => {
  try {
    const text = await readFile(path, 'utf8');
    const json: unknown = text.trim() === '' ? {} : JSON.parse(text);
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new TypeError('it is not a JSON object');
    }
    return { text, config: json };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return { text: '', config: {} };
    }
    throw new HyprError('REGISTRY_AUTH', `${path} cannot be read: ${error instanceof Error ? error.message : ''}`, {
      hint: 'correct it, or move it away and log in again',
      where: { file: path },
      cause: error,
    });
  }
};

/**
 * Changes the entry of one registry; undefined removes it. Everything else in the file is kept, including order,
 * indentation, and a symlink as the file. The file is readable by its owner only.
 */
export const writeDockerAuth = async (path: string, server: string, auth: DockerAuth | undefined): Promise<void> => {
  const target = await realpath(path).catch(() => path);
  await changeAuth(target, server, auth).catch((error: unknown) => {
    throw diskError(error, target);
  });
};

const changeAuth = (target: string, server: string, auth: DockerAuth | undefined): Promise<void> =>
  withLock(join(dirname(target), '.hypr-config.lock'), { what: target, timeout: 30_000 }, async () => {
    const { text, config } = await readText(target);
    const { [server]: before, ...others } = config.auths ?? {};
    if (auth === undefined && before === undefined) {
      return;
    }
    const auths = auth === undefined ? others : { ...config.auths, [server]: auth };
    const indent = /^\{\r?\n([ \t]+)/.exec(text)?.[1] ?? '\t';
    await writeFileAtomic(target, `${JSON.stringify({ ...config, auths }, undefined, indent)}${text.endsWith('\n') ? '\n' : ''}`, 0o600);
  });
