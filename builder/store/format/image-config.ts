import { HyprError } from '../../../base/errors.ts';
import type { ImageRuntime } from '../../model/types.ts';
import { isDigest } from './digest.ts';

/** The fields of an image config (image-spec config.md) that hypr uses. */
export interface ParsedConfig {
  readonly platform: string;
  readonly created: number;
  readonly diffIds: readonly string[];
  readonly runtime: ImageRuntime;
}

export const MAX_CONFIG = 8 * 1024 * 1024;
const MAX_LAYERS = 512;

/** Parses a config; unknown fields are ignored, and fields of a wrong type count as absent. Throws IMAGE_CORRUPT if it is not a config. */
export const parseImageConfig = (data: Uint8Array): ParsedConfig => {
  const json = parseObject(data);
  const diffIds = strings(asObject(json.rootfs).diff_ids);
  if (data.length > MAX_CONFIG || diffIds.length > MAX_LAYERS || !diffIds.every(isDigest)) {
    throw new HyprError('IMAGE_CORRUPT', 'the config of an image has an invalid list of layers', {
      hint: 'the image is damaged or very unusual',
    });
  }
  const created = Date.parse(text(json.created) ?? '');
  return {
    platform: [text(json.os) ?? 'linux', text(json.architecture) ?? 'amd64', text(json.variant)].filter(Boolean).join('/'),
    created: Number.isNaN(created) ? 0 : Math.max(0, created),
    diffIds,
    runtime: parseRuntime(asObject(json.config)),
  };
};

const parseRuntime = (config: Json): ImageRuntime => {
  const stop = text(config.StopSignal);
  const health = parseHealth(asObject(config.Healthcheck));
  const shell = stringsOrNull(config.Shell);
  const onBuild = stringsOrNull(config.OnBuild);
  return {
    Env: strings(config.Env),
    Entrypoint: stringsOrNull(config.Entrypoint),
    Cmd: stringsOrNull(config.Cmd),
    WorkingDir: text(config.WorkingDir) ?? '',
    User: text(config.User) ?? '',
    ExposedPorts: keys(config.ExposedPorts),
    Volumes: keys(config.Volumes),
    Labels: labels(config.Labels),
    ...(stop === undefined ? {} : { StopSignal: stop }),
    ...(health === undefined ? {} : { Healthcheck: health }),
    ...(shell === null ? {} : { Shell: shell }),
    ...(onBuild === null ? {} : { OnBuild: onBuild }),
  };
};

const parseHealth = (health: Json): ImageRuntime['Healthcheck'] | undefined => {
  const test = stringsOrNull(health.Test);
  const numbers = (['Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries'] as const).flatMap((key) => {
    const value = health[key];
    return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? [[key, value]] : [];
  });
  return test === null && numbers.length === 0 ? undefined : { ...(test === null ? {} : { Test: test }), ...Object.fromEntries(numbers) };
};

export type Json = Readonly<Record<string, unknown>>;

/** Parses a JSON object. Throws IMAGE_CORRUPT. */
export const parseObject = (data: Uint8Array): Json => {
  try {
    const value: unknown = JSON.parse(Buffer.from(data).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Json;
    }
  } catch (error) {
    throw new HyprError('IMAGE_CORRUPT', 'the metadata of an image is not JSON', { cause: error });
  }
  throw new HyprError('IMAGE_CORRUPT', 'the metadata of an image is not a JSON object');
};

export const asObject = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
export const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
export const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
const stringsOrNull = (value: unknown): string[] | null => (Array.isArray(value) ? strings(value) : null);
const keys = (value: unknown): Record<string, object> => Object.fromEntries(Object.keys(asObject(value)).map((key) => [key, {}]));
const labels = (value: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(asObject(value)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
