import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/files.ts';

/** What a step left behind: a layer, or nothing when it changed nothing. */
export interface CacheRecord {
  /** The key that following steps build on, however the record was found. */
  readonly key: string;
  readonly diffId: string | null;
  /** Milliseconds: when the step really ran. */
  readonly created: number;
}

const FORMAT = 1;
const MAX_RECORD = 16 * 1024;
const KEY = /^[0-9a-f]{64}$/;

/** A key from everything that decides a step's result; canonical, so that the order of fields does not matter. */
export const makeKey = (kind: string, facts: Readonly<Record<string, unknown>>): string =>
  createHash('sha256')
    .update(JSON.stringify([FORMAT, kind, Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1))]))
    .digest('hex');

/**
 * Cache records as small files below `<build>/records`, written atomically: any number of processes may
 * use them at once. A record is only a hint; whether its layer still exists is asked of the store.
 */
export class BuildCache {
  readonly #folder: string;
  readonly #hasLayer: (diffId: string) => Promise<boolean>;

  constructor(buildFolder: string, hasLayer: (diffId: string) => Promise<boolean>) {
    this.#folder = join(buildFolder, 'records');
    this.#hasLayer = hasLayer;
  }

  async find(key: string): Promise<CacheRecord | undefined> {
    const record = await readRecord(this.#path(key));
    const usable = record !== undefined && (record.diffId === null || (await this.#hasLayer(record.diffId)));
    return usable ? record : undefined;
  }

  /** Under several keys: by definition and by content. */
  async save(keys: readonly string[], record: CacheRecord): Promise<void> {
    for (const key of new Set(keys)) {
      await writeFileAtomic(this.#path(key), JSON.stringify({ format: FORMAT, ...record }));
    }
  }

  #path(key: string): string {
    return join(this.#folder, key.slice(0, 2), key);
  }
}

/** Layers that cache records still point to; for the store's clean-up. */
export const listCachedLayers = async (buildFolder: string): Promise<Set<string>> => {
  const layers = new Set<string>();
  for (const path of await recordFiles(buildFolder)) {
    const record = await readRecord(path);
    if (record?.diffId) {
      layers.add(record.diffId);
    }
  }
  return layers;
};

/**
 * Removes what builds have kept for longer than `olderThan` milliseconds (0: everything): records, cache
 * mounts, downloads, hashes, left-overs of killed builds. Layers are the store's. Gives how many bytes went.
 */
export const pruneBuildCache = async (buildFolder: string, olderThan: number): Promise<number> => {
  let removed = 0;
  for (const folder of ['records', 'mounts', 'downloads', 'hashes', 'tmp']) {
    for (const path of await listFiles(join(buildFolder, folder))) {
      const { mtimeMs, size } = await stat(path);
      if (Date.now() - mtimeMs >= olderThan) {
        await rm(path, { force: true });
        removed += size;
      }
    }
  }
  return removed;
};

const recordFiles = async (buildFolder: string): Promise<string[]> =>
  (await listFiles(join(buildFolder, 'records'))).filter((path) => KEY.test(basename(path)));

const listFiles = async (folder: string): Promise<string[]> => {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  }
};

/** A record that cannot be understood is none. */
const readRecord = async (path: string): Promise<CacheRecord | undefined> => {
  try {
    const text = await readFile(path, 'utf8');
    const value = text.length > MAX_RECORD ? {} : (JSON.parse(text) as Partial<CacheRecord> & { format?: number });
    const { format, key, diffId, created } = value as Partial<CacheRecord> & { format?: number };
    if (format !== FORMAT || typeof key !== 'string' || !KEY.test(key) || typeof created !== 'number') {
      return undefined;
    }
    return diffId === null || typeof diffId === 'string' ? { key, diffId, created } : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
};
