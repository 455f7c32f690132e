import { HyprError } from '../../../base/errors.ts';
import { openCredentialHelper } from './credential-helper.ts';
import { type DockerAuth, type DockerConfig, dockerConfigPath, readDockerConfig, writeDockerAuth } from './docker-config.ts';
import type { Credentials } from './types.ts';

/** docker's key for Docker Hub, older than the present API. */
const HUB_KEY = 'https://index.docker.io/v1/';
const HUB_KEYS = [HUB_KEY, 'index.docker.io', 'docker.io', 'registry-1.docker.io'];

/** The key of a registry in docker's config.json. */
export const serverKey = (domain: string): string => (domain === 'docker.io' ? HUB_KEY : domain);

/**
 * The credentials that `docker login` or `hypr login` stored for a registry, in `~/.docker/config.json` (or
 * DOCKER_CONFIG) or a credential helper; undefined if there are none. Secrets go to helpers by stdin, never by argv.
 */
export const findCredentials = async (domain: string, env: NodeJS.ProcessEnv = process.env): Promise<Credentials | undefined> => {
  const path = dockerConfigPath(env);
  const config = await readDockerConfig(path);
  const keys = keysOf(domain);
  const helper = helperFor(config, keys);
  if (helper !== undefined) {
    const found = await openCredentialHelper(helper, env).get(serverKey(domain));
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

/** Stores credentials where docker would; returns the path of the file if they are in it as plain text. */
export const storeCredentials = async (
  domain: string,
  credentials: Credentials,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string | undefined> => {
  const path = dockerConfigPath(env);
  const helper = helperFor(await readDockerConfig(path), keysOf(domain));
  const key = serverKey(domain);
  if (helper === undefined) {
    await writeDockerAuth(path, key, encodeEntry(credentials));
    return path;
  }
  await openCredentialHelper(helper, env).store(key, credentials);
  // An empty entry marks that there is a login, as docker does it.
  await writeDockerAuth(path, key, {});
  return undefined;
};

/** Removes a login under all keys it may have; false if there was none. */
export const eraseCredentials = async (domain: string, env: NodeJS.ProcessEnv = process.env): Promise<boolean> => {
  const path = dockerConfigPath(env);
  const config = await readDockerConfig(path);
  const keys = keysOf(domain);
  const helper = helperFor(config, keys);
  const entries = keys.filter((key) => config.auths?.[key] !== undefined);
  const stored = helper === undefined ? undefined : openCredentialHelper(helper, env);
  const wasStored = (await stored?.get(serverKey(domain))) !== undefined;
  await stored?.erase(serverKey(domain));
  for (const key of entries) {
    await writeDockerAuth(path, key, undefined);
  }
  return wasStored || entries.length > 0;
};

const keysOf = (domain: string): string[] =>
  domain === 'docker.io' ? HUB_KEYS : [domain, `https://${domain}`, `http://${domain}`, `https://${domain}/v1/`, `https://${domain}/v2/`];

const helperFor = (config: DockerConfig, keys: readonly string[]): string | undefined =>
  keys.map((key) => config.credHelpers?.[key]).find((name) => name !== undefined) ?? (config.credsStore || undefined);

/** As docker does it: the user name beside an identity token is only for display. */
const encodeEntry = (credentials: Credentials): DockerAuth =>
  'identityToken' in credentials
    ? { auth: Buffer.from('<token>:').toString('base64'), identitytoken: credentials.identityToken }
    : { auth: Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64') };

const decodeEntry = (entry: DockerAuth | undefined, path: string): Credentials | undefined => {
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
    throw new HyprError('REGISTRY_AUTH', `${path} has a malformed entry`, { hint: 'log in again with: hypr login' });
  }
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, '') };
};
