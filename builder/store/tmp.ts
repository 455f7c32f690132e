import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { diskError } from '../../base/host/files.ts';
import { isAlive } from '../../base/host/process.ts';
import { stagingName, stagingOwner } from '../../base/host/staging.ts';

/** A private folder below the store's `tmp/`, on the same file system, so that a rename out of it is atomic. */
export interface StagingFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** Its name holds the owning process, so that leftovers of a killed process can be told from work in progress. */
export const makeStagingFolder = async (root: string, what: string): Promise<StagingFolder> => {
  const path = join(root, 'tmp', stagingName(what));
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw diskError(error, root);
  });
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
};

/** As long as it is held, gc keeps every layer that was added or looked up since it was taken. */
export interface Lease extends AsyncDisposable {
  release(): Promise<void>;
}

/**
 * The caller holds the store's lock, so that gc is not halfway through. A lease is an empty file whose name says
 * everything, `MILLISECONDS.lease-PID-START-RANDOM`: it cannot exist incompletely.
 */
export const takeLease = async (root: string): Promise<Lease> => {
  // File times can lag a little behind the clock.
  const path = join(root, 'leases', `${Date.now() - 1000}.${stagingName('lease')}`);
  await writeFile(path, '', { mode: 0o600 }).catch((error: unknown) => {
    throw diskError(error, root);
  });
  const release = () => rm(path, { force: true });
  return { release, [Symbol.asyncDispose]: release };
};

/** Layers used since this time must be kept: when the oldest lease of a live process was taken, or Infinity without one. */
export const oldestLease = async (root: string): Promise<number> => {
  let oldest = Number.POSITIVE_INFINITY;
  for (const name of await readdir(join(root, 'leases'))) {
    const owner = stagingOwner(name);
    if (owner !== undefined && isAlive(owner)) {
      oldest = Math.min(oldest, Number.parseInt(name, 10));
    }
  }
  return oldest;
};
