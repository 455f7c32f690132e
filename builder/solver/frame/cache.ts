import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { writeFileAtomic } from '../../../base/host/files.ts';
import { withLock } from '../../../base/host/lock.ts';
import { isAlive } from '../../../base/host/process.ts';
import { stagingOwner } from '../../../base/host/staging.ts';
import { buildStagingFolder } from '../layer/sweep.ts';

/** What a step left behind: a layer, or nothing when it changed nothing. */
export interface CacheRecord {
  /** The key that following steps build on, whichever key the record was found by. */
  readonly key: string;
  readonly diffId: string | null;
  /** Milliseconds: when the step really ran. */
  readonly created: number;
}

const FORMAT = 1;
const MAX_RECORD = 16 * 1024;
const KEY = /^[0-9a-f]{64}$/;

/** A key made of everything that decides a step's result; canonical, so that the order of fields does not matter. */
export const makeKey = (kind: string, facts: Readonly<Record<string, unknown>>): string =>
  createHash('sha256')
    .update(JSON.stringify([FORMAT, kind, Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1))]))
    .digest('hex');

/** Imported caches, which are asked for steps that this host has not done itself. */
export interface CacheSource {
  /** Finds a record by key, without checking whether its layer is available. */
  find(key: string): CacheRecord | undefined;
  /** Fetches a layer into the store and verifies its digest; false when it is not available, which was reported then. */
  fetch(diffId: string): Promise<boolean>;
}

/**
 * Cache records as small files below `<build>/records`, written atomically: any number of processes may
 * use them at once. A record is only a hint: the store decides whether its layer still exists.
 */
export class BuildCache {
  readonly #folder: string;
  readonly #stagingFolder: string;
  readonly #hasLayer: (diffId: string) => Promise<boolean>;
  readonly #used = new Map<string, CacheRecord & { readonly keys: Set<string> }>();
  /** In the order they are asked. */
  sources: readonly CacheSource[] = [];

  constructor(buildFolder: string, hasLayer: (diffId: string) => Promise<boolean>) {
    this.#folder = join(buildFolder, 'records');
    this.#stagingFolder = buildStagingFolder(buildFolder);
    this.#hasLayer = hasLayer;
  }

  /** Every step of this build so far, with the keys it was found or saved under. */
  get used(): ReadonlyArray<CacheRecord & { readonly keys: ReadonlySet<string> }> {
    return [...this.#used.values()];
  }

  async find(key: string): Promise<CacheRecord | undefined> {
    const record = await readRecord(this.#path(key));
    if (record !== undefined && (record.diffId === null || (await this.#hasLayer(record.diffId)))) {
      this.#note([key], record);
      return record;
    }
    for (const source of this.sources) {
      const found = source.find(key);
      if (found !== undefined && (await this.#obtain(found, source))) {
        await this.save([key, found.key], found);
        return found;
      }
    }
    return undefined;
  }

  /** Under several keys: by definition and by content. */
  async save(keys: readonly string[], record: CacheRecord): Promise<void> {
    this.#note(keys, record);
    const { key, diffId, created } = record;
    for (const name of new Set(keys)) {
      await writeFileAtomic(this.#path(name), JSON.stringify({ format: FORMAT, key, diffId, created }), {
        stagingFolder: this.#stagingFolder,
      });
    }
  }

  async #obtain({ diffId }: CacheRecord, source: CacheSource): Promise<boolean> {
    return diffId === null || (await this.#hasLayer(diffId)) || (await source.fetch(diffId));
  }

  #note(keys: readonly string[], record: CacheRecord): void {
    const known = this.#used.get(record.key)?.keys ?? [];
    this.#used.set(record.key, { ...record, keys: new Set([...known, ...keys, record.key]) });
  }

  #path(key: string): string {
    return join(this.#folder, key.slice(0, 2), key);
  }
}

/** Layers that cache records still point to, with when they were made (milliseconds); for the store's clean-up. */
export const listCachedLayers = async (buildFolder: string): Promise<Map<string, number>> => {
  const layers = new Map<string, number>();
  for (const path of await recordFiles(buildFolder)) {
    const record = await readRecord(path);
    if (record?.diffId) {
      layers.set(record.diffId, Math.min(record.created, layers.get(record.diffId) ?? record.created));
    }
  }
  return layers;
};

/**
 * Removes what builds have kept for longer than `olderThan` milliseconds (0: everything): records, cache mounts, downloads,
 * repositories, hashes, leftovers of killed builds. Layers belong to the store. Returns the number of bytes removed.
 */
export const pruneBuildCache = async (buildFolder: string, olderThan: number): Promise<number> => {
  let removed = 0;
  for (const folder of ['records', 'mounts', 'downloads', 'hashes', 'tmp']) {
    const root = join(buildFolder, folder);
    const paths = (await listFiles(root)).filter((path) => folder !== 'tmp' || !isInUse(relative(root, path)));
    for (const path of paths) {
      removed += path.endsWith('.ext4') ? await pruneDisk(path, olderThan) : await pruneFile(path, olderThan);
    }
  }
  return removed + (await pruneRepositories(buildFolder, olderThan));
};

/** Whether a build that runs has this path of the staging folder. */
const isInUse = (path: string): boolean => {
  const owner = stagingOwner(path.split('/')[0] ?? '');
  return owner !== undefined && isAlive(owner);
};

/** Removes a repository as a whole, unless somebody fetches into it. */
const pruneRepositories = async (buildFolder: string, olderThan: number): Promise<number> => {
  const root = join(buildFolder, 'git');
  const names = await readdir(root).catch(() => []);
  let removed = 0;
  for (const name of names) {
    removed += await unlessLocked(join(buildFolder, 'locks', `git-${name}`), 'a repository', async () => {
      const info = await stat(join(root, name)).catch(() => undefined);
      if (info === undefined || Date.now() - info.mtimeMs < olderThan) {
        return 0;
      }
      const files = await listFiles(join(root, name));
      const sizes = await Promise.all(
        files.map((path) =>
          stat(path).then(
            ({ blocks }) => blocks * BLOCK,
            () => 0,
          ),
        ),
      );
      await rm(join(root, name), { recursive: true, force: true });
      return sizes.reduce((sum, size) => sum + size, 0);
    });
  }
  return removed;
};

const BLOCK = 512;

/** Returns the disk space that was freed (sparse files count by their blocks). Locks stay. */
const pruneFile = async (path: string, olderThan: number): Promise<number> => {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined || Date.now() - info.mtimeMs < olderThan || path.endsWith('.lock')) {
    return 0;
  }
  await rm(path, { force: true });
  return info.blocks * BLOCK;
};

/** Removes a cache mount unless a build uses it. */
const pruneDisk = (path: string, olderThan: number): Promise<number> =>
  unlessLocked(`${path}.lock`, 'a cache mount', () => pruneFile(path, olderThan));

const unlessLocked = async (lock: string, what: string, work: () => Promise<number>): Promise<number> => {
  try {
    return await withLock(lock, { what, timeout: 0 }, work);
  } catch (error) {
    if (error instanceof HyprError && error.code === 'HYPR_LOCKED') {
      return 0;
    }
    throw error;
  }
};

const recordFiles = async (buildFolder: string): Promise<string[]> =>
  (await listFiles(join(buildFolder, 'records'))).filter((path) => KEY.test(basename(path)));

const listFiles = async (folder: string): Promise<string[]> => {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  }
};

/** Whether external data has the shape of a record. */
export const isCacheRecord = (value: { key?: unknown; diffId?: unknown; created?: unknown }): value is CacheRecord =>
  typeof value.key === 'string' &&
  KEY.test(value.key) &&
  typeof value.created === 'number' &&
  Number.isSafeInteger(value.created) &&
  value.created >= 0 &&
  (value.diffId === null || typeof value.diffId === 'string');

/** A record that cannot be parsed counts as absent. */
const readRecord = async (path: string): Promise<CacheRecord | undefined> => {
  try {
    const text = await readFile(path, 'utf8');
    const value = text.length > MAX_RECORD ? {} : (JSON.parse(text) as Partial<CacheRecord> & { format?: number });
    const { format, key, diffId, created } = value as Partial<CacheRecord> & { format?: number };
    const record = { key, diffId, created };
    return format === FORMAT && isCacheRecord(record) ? record : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
};
