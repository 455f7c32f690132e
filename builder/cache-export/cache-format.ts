import { HyprError } from '../../base/errors.ts';
import { type CacheRecord, isCacheRecord } from '../solver/frame/cache.ts';
import { isDigest } from '../store/format/digest.ts';
import { asObject, type Json, parseObject } from '../store/format/image-config.ts';

/** A step as a cache elsewhere has it: what it left, and under which keys it is found. */
export interface CacheEntry extends CacheRecord {
  readonly keys: readonly string[];
}

/** Media type of the config of a cache's manifest; its layers are the manifest's, in the order of `diff_ids`. */
export const CACHE_CONFIG = 'application/vnd.hypr.cacheconfig.v1+json';
/** Field of an image's config that holds the cache of its own layers. */
export const INLINE_FIELD = 'hypr.cache.v1';
export const MAX_CACHE_CONFIG = 16 * 1024 * 1024;
const MAX_ENTRIES = 100_000;

export interface CacheConfig {
  readonly entries: readonly CacheEntry[];
  readonly diffIds: readonly string[];
}

export const encodeCacheConfig = ({ entries, diffIds }: CacheConfig): Buffer =>
  Buffer.from(JSON.stringify({ version: 1, diff_ids: diffIds, entries }));

/** Entries that are not as they should be are left out; the digests decide what their layers are. Throws IMAGE_CORRUPT when it is no cache. */
export const decodeCacheConfig = (data: Uint8Array): CacheConfig => {
  const json = parseObject(data);
  const diffIds = Array.isArray(json.diff_ids) ? json.diff_ids : undefined;
  if (json.version !== 1 || !diffIds?.every((id): id is string => typeof id === 'string' && isDigest(id))) {
    throw new HyprError('IMAGE_CORRUPT', 'it is not a cache that hypr has written');
  }
  return { entries: readEntries(json.entries), diffIds };
};

/** The entries of an image's config; none when it has no cache in it. Throws IMAGE_CORRUPT. */
export const readInlineEntries = (config: Json): CacheEntry[] => readEntries(asObject(config[INLINE_FIELD]).entries);

const readEntries = (value: unknown): CacheEntry[] =>
  (Array.isArray(value) ? value.slice(0, MAX_ENTRIES) : []).map(asObject).flatMap((entry) => {
    const { keys, key, diffId, created } = entry;
    const record = { key, diffId, created };
    const names = Array.isArray(keys) ? keys.filter((name): name is string => typeof name === 'string' && /^[0-9a-f]{64}$/.test(name)) : [];
    return isCacheRecord(record) && (record.diffId === null || isDigest(record.diffId)) ? [{ ...record, keys: names }] : [];
  });
