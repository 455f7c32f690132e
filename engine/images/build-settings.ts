import { HyprError } from '../../base/errors.ts';
import type { BuildLimits, BuildRequest } from '../../builder/model/types.ts';
import { parseBytes, parseDuration } from '../../compose/model/units.ts';

/**
 * Defaults for every build from HYPR_BUILD_*: MEMORY and DISK (`4g`), CPUS, TIMEOUT (`30m`, per step), PROXY_ALLOW
 * (comma-separated hosts). The request overrides them. Throws HYPR_USAGE for an invalid value.
 */
export const buildSettings = (
  request: Pick<BuildRequest, 'limits' | 'proxyAllow'>,
  env: Readonly<Record<string, string | undefined>>,
): Pick<BuildRequest, 'limits' | 'proxyAllow'> => {
  const settings: BuildLimits = {
    ...setting(env, 'HYPR_BUILD_MEMORY', (text) => ({ memoryMib: toMib(text) })),
    ...setting(env, 'HYPR_BUILD_DISK', (text) => ({ diskMib: toMib(text) })),
    ...setting(env, 'HYPR_BUILD_CPUS', (text) => ({ cpus: toCpus(text) })),
    ...setting(env, 'HYPR_BUILD_TIMEOUT', (text) => ({ stepTimeout: parseDuration(text) })),
  };
  const allow = (env.HYPR_BUILD_PROXY_ALLOW ?? '').split(',').flatMap((host) => (host.trim() === '' ? [] : [host.trim()]));
  return { limits: { ...settings, ...request.limits }, proxyAllow: [...allow, ...(request.proxyAllow ?? [])] };
};

/** Parses a size in whole MiB. Throws when it is not a size, or too small for a machine. */
export const toMib = (text: string): number => {
  const mib = Math.ceil(parseBytes(text) / 2 ** 20);
  if (!Number.isFinite(mib) || mib < SMALLEST_MIB) {
    throw new RangeError(`a build machine needs at least ${SMALLEST_MIB} MiB`);
  }
  return mib;
};

const SMALLEST_MIB = 128;

/** Parses a whole number of processors. */
export const toCpus = (text: string): number => {
  const cpus = Math.ceil(Number(text));
  if (!Number.isFinite(cpus) || cpus < 1 || cpus > MAX_CPUS) {
    throw new RangeError(`a build machine has 1 to ${MAX_CPUS} processors`);
  }
  return cpus;
};

const MAX_CPUS = 64;

const setting = (env: Readonly<Record<string, string | undefined>>, name: string, read: (text: string) => BuildLimits): BuildLimits => {
  const text = env[name];
  if (text === undefined || text === '') {
    return {};
  }
  try {
    return read(text);
  } catch (error) {
    throw new HyprError('HYPR_USAGE', `${name}=${text}: ${error instanceof Error ? error.message : String(error)}`);
  }
};
