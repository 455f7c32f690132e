import { join, resolve } from 'node:path';
import { parseDotenv } from '../interpolate/dotenv.ts';
import type { MountConfig, PortConfig } from '../model/model.ts';
import { SourceFile, syntheticMark } from '../source/source.ts';
import { parsePort } from './ports.ts';
import { parseVolume } from './volumes.ts';

/** Parses short forms in flags of a command line (`run -v`, `-p`, `--env-from-file`). */

/** `[SOURCE:]TARGET[:MODE]`; relative and `~` sources start from the given folders. Throws COMPOSE_INVALID. */
export const mountOf = (spec: string, base: { readonly cwd: string; readonly home: string }): MountConfig => {
  const { type, source, target, readOnly, nocopy } = parseVolume(spec, syntheticMark('--volume'));
  if (type === 'bind') {
    const expanded = source === '~' || source.startsWith('~/') ? join(base.home, source.slice(1)) : source;
    return {
      type,
      source: resolve(base.cwd, expanded),
      target,
      ...(readOnly ? { read_only: true } : {}),
      bind: { create_host_path: true },
    };
  }
  return {
    type,
    ...(source === '' ? {} : { source }),
    target,
    ...(readOnly ? { read_only: true } : {}),
    volume: nocopy ? { nocopy } : {},
  };
};

/** `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, ranges included. Throws COMPOSE_INVALID. */
export const portsOf = (spec: string): PortConfig[] =>
  parsePort(spec, syntheticMark('--publish')).map(({ hostIp, target, published, protocol }) => ({
    mode: 'ingress',
    target,
    protocol,
    ...(hostIp === '' ? {} : { host_ip: hostIp }),
    ...(published === '' ? {} : { published }),
  }));

/** An env file; bare names take their value from `lookup`. Throws COMPOSE_ENV_FILE. */
export const envFileOf = (file: { readonly path: string; readonly text: string }, lookup: NodeJS.ProcessEnv): Map<string, string> =>
  parseDotenv(new SourceFile(file.path, file.text), (name) => lookup[name]);
