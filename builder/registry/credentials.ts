import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { runProgram } from '../../base/process.ts';

export type Credentials = { readonly username: string; readonly password: string } | { readonly identityToken: string };

interface DockerConfig {
  readonly auths?: Readonly<Record<string, { auth?: string; username?: string; password?: string; identitytoken?: string }>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

const HUB_KEYS = ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io', 'registry-1.docker.io'];
const HELPER_MS = 30_000;

/**
 * What `docker login` left for a registry: `~/.docker/config.json` (or DOCKER_CONFIG), its entries and
 * credential helpers. Undefined when there is nothing. Secrets go to helpers by stdin, never by argv.
 */
export const findCredentials = async (domain: string, env: NodeJS.ProcessEnv = process.env): Promise<Credentials | undefined> => {
  const path = join(env.DOCKER_CONFIG ?? join(env.HOME ?? homedir(), '.docker'), 'config.json');
  const config = await readConfig(path);
  const keys =
    domain === 'docker.io' ? HUB_KEYS : [domain, `https://${domain}`, `http://${domain}`, `https://${domain}/v1/`, `https://${domain}/v2/`];
  const helper = keys.map((key) => config.credHelpers?.[key]).find((name) => name !== undefined) ?? config.credsStore;
  if (helper !== undefined) {
    const found = await askHelper(helper, keys[0] ?? domain);
    if (found !== undefined) {
      return found;
    }
  }
  for (const key of keys) {
    const found = decodeEntry(config.auths?.[key], path);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
};

const decodeEntry = (entry: NonNullable<DockerConfig['auths']>[string] | undefined, path: string): Credentials | undefined => {
  if (entry?.identitytoken) {
    return { identityToken: entry.identitytoken };
  }
  if (entry?.username && entry.password !== undefined) {
    return { username: entry.username, password: entry.password };
  }
  if (!entry?.auth) {
    return undefined;
  }
  const decoded = Buffer.from(entry.auth, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 0) {
    throw new HyprError('REGISTRY_AUTH', `${path} has a malformed entry`, { hint: 'log in again with: docker login' });
  }
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, '') };
};

/** The protocol of docker-credential-helpers: server name on stdin, JSON on stdout. */
const askHelper = async (name: string, server: string): Promise<Credentials | undefined> => {
  if (!/^[\w.-]+$/.test(name)) {
    throw new HyprError('REGISTRY_AUTH', `${JSON.stringify(name)} is not the name of a credential helper`);
  }
  const program = `docker-credential-${name}`;
  const result = await runProgram(program, ['get'], { input: server, timeout: HELPER_MS }).catch((error: unknown) => {
    throw new HyprError('REGISTRY_AUTH', `the credential helper ${program} cannot be started`, {
      hint: 'install it, or take it out of ~/.docker/config.json',
      cause: error,
    });
  });
  if (result.code !== 0) {
    if (/credentials not found/i.test(result.stdout + result.stderr)) {
      return undefined;
    }
    throw new HyprError('REGISTRY_AUTH', `the credential helper ${program} ended with exit code ${result.code}`, {
      details: result.stderr.trim().split('\n').slice(-3),
    });
  }
  try {
    const { Username, Secret } = JSON.parse(result.stdout) as { Username: string; Secret: string };
    return Username === '<token>' ? { identityToken: Secret } : { username: Username, password: Secret };
  } catch (error) {
    throw new HyprError('REGISTRY_AUTH', `the credential helper ${program} answered with something that is not JSON`, { cause: error });
  }
};

const readConfig = async (path: string): Promise<DockerConfig> => {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as DockerConfig;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return {};
    }
    throw new HyprError('REGISTRY_AUTH', `${path} cannot be read`, { where: { file: path }, cause: error });
  }
};
