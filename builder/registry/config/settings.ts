import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { parseRegistriesConf } from './registries-conf.ts';
import type { FoundSettings } from './types.ts';

/** A place to pull a registry's images from; endpoints are tried in order. */
export interface Endpoint {
  /** Without a trailing slash: https://registry-1.docker.io */
  readonly url: string;
  readonly isMirror: boolean;
}

export interface RegistrySettings {
  /** Mirrors by registry (docker.io, ghcr.io). */
  readonly mirrors: ReadonlyMap<string, readonly string[]>;
  /**
   * Hosts that may be used over plain HTTP, and whose certificate is not checked. Loopback addresses may always be used
   * over plain HTTP.
   */
  readonly insecure: ReadonlySet<string>;
}

const MAX_FILE = 1024 * 1024;

/**
 * Reads mirrors and insecure registries; the first source that has a setting wins: `HYPR_REGISTRY_MIRRORS`
 * (`docker.io=http://127.0.0.1:5000`, comma-separated), `HYPR_HOME/registries.json` (`{"mirrors": {"docker.io": [url]},
 * "insecure": [host]}`) and `registries.conf` beside it, docker's daemon.json, and containers' registries.conf. Throws
 * HYPR_USAGE, which names the invalid setting.
 */
export const loadRegistrySettings = async (home: string, env: NodeJS.ProcessEnv = process.env): Promise<RegistrySettings> => {
  const config = env.XDG_CONFIG_HOME ?? join(env.HOME ?? homedir(), '.config');
  const mirrors = new Map<string, string[]>();
  const insecure = new Set<string>();
  const add = (found: FoundSettings) => {
    for (const [domain, urls] of found.mirrors) {
      mirrors.set(domain, [...(mirrors.get(domain) ?? []), ...urls]);
    }
    for (const host of found.insecure) {
      insecure.add(host);
    }
  };
  add(parseEnvironment(env.HYPR_REGISTRY_MIRRORS ?? ''));
  add(await readJson(join(home, 'registries.json'), parseOwn));
  add(parseRegistriesConf((await readText(join(home, 'registries.conf'))) ?? ''));
  for (const folder of [join(config, 'docker'), '/etc/docker']) {
    add(await readJson(join(folder, 'daemon.json'), parseDaemon));
  }
  for (const folder of [join(config, 'containers'), '/etc/containers']) {
    add(parseRegistriesConf((await readText(join(folder, 'registries.conf'))) ?? ''));
  }
  return { mirrors, insecure };
};

/** Mirrors first, the registry itself last; https and then http where plain HTTP is allowed. */
export const endpointsFor = (domain: string, settings: RegistrySettings): Endpoint[] => {
  const mirrors = (settings.mirrors.get(domain) ?? []).flatMap((mirror) => withSchemes(mirror, settings));
  const own = withSchemes(domain === 'docker.io' ? 'registry-1.docker.io' : domain, settings);
  return [...mirrors.map((url) => ({ url, isMirror: true })), ...own.map((url) => ({ url, isMirror: false }))];
};

const withSchemes = (place: string, settings: RegistrySettings): string[] => {
  if (/^https?:\/\//.test(place)) {
    return [place.replace(/\/+$/, '')];
  }
  const host = place.split('/')[0] ?? place;
  return isLoopback(host) || settings.insecure.has(host) ? [`https://${place}`, `http://${place}`] : [`https://${place}`];
};

/** Takes a host with or without a port. */
export const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host);

const parseEnvironment = (value: string): FoundSettings => {
  const mirrors = value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part): [string, string[]] => {
      const [, domain, url] = /^([^=]+)=(.+)$/.exec(part) ?? [];
      if (domain === undefined || url === undefined) {
        throw new HyprError('HYPR_USAGE', `HYPR_REGISTRY_MIRRORS has ${JSON.stringify(part)}`, {
          hint: 'write it as docker.io=http://127.0.0.1:5000, several with commas between',
        });
      }
      return [domain, [checkUrl(url, 'HYPR_REGISTRY_MIRRORS')]];
    });
  return { mirrors, insecure: [] };
};

const parseOwn = (json: Record<string, unknown>, path: string): FoundSettings => {
  const mirrors = typeof json.mirrors === 'object' && json.mirrors !== null ? Object.entries(json.mirrors) : [];
  return {
    mirrors: mirrors.map(([domain, urls]) => [domain, strings(urls).map((url) => checkUrl(url, path))]),
    insecure: strings(json.insecure),
  };
};

const parseDaemon = (json: Record<string, unknown>, path: string): FoundSettings => ({
  mirrors: [['docker.io', strings(json['registry-mirrors']).map((url) => checkUrl(url, path))]],
  insecure: strings(json['insecure-registries']),
});

const checkUrl = (url: string, where: string): string => {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) {
    return url;
  }
  throw new HyprError('HYPR_USAGE', `${where} names the mirror ${JSON.stringify(url)}, which is no http or https URL`);
};

const strings = (value: unknown): string[] =>
  typeof value === 'string' ? [value] : Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];

const readText = async (path: string): Promise<string | undefined> => {
  try {
    const text = await readFile(path, 'utf8');
    return text.length > MAX_FILE ? undefined : text;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) {
      return undefined;
    }
    throw error;
  }
};

const readJson = async (path: string, parse: (json: Record<string, unknown>, path: string) => FoundSettings): Promise<FoundSettings> => {
  const text = await readText(path);
  if (text === undefined) {
    return { mirrors: [], insecure: [] };
  }
  try {
    return parse(JSON.parse(text) as Record<string, unknown>, path);
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new HyprError('HYPR_USAGE', `${path} is not valid JSON: ${error.message}`, { where: { file: path } });
    }
    throw error;
  }
};
