import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { diskError } from '../../base/host/files.ts';
import { isAlive } from '../../base/host/process.ts';
import { stagingName, stagingOwner } from '../../base/host/staging.ts';

/** A private folder below `tmp/` of the store, on the same file system, so that renames out of it are atomic. */
export interface StagingFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** Its name says whose it is, so that what a killed process left can be told from work under way. */
export const makeStagingFolder = async (root: string, what: string): Promise<StagingFolder> => {
  const path = join(root, 'tmp', stagingName(what));
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw diskError(error, root);
  });
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
};

/** While it lives, gc keeps every layer that was added or found since it was taken. */
export interface Lease extends AsyncDisposable {
  release(): Promise<void>;
}

/**
 * The caller holds the store's lock, so that no clean-up is half through. An empty file whose name says everything, so
 * that it is there whole or not at all: `MILLISECONDS.lease-PID-START-RANDOM`.
 */
export const takeLease = async (root: string): Promise<Lease> => {
  // A file time can be a little behind the clock.
  const path = join(root, 'leases', `${Date.now() - 1000}.${stagingName('lease')}`);
  await writeFile(path, '', { mode: 0o600 }).catch((error: unknown) => {
    throw diskError(error, root);
  });
  const release = () => rm(path, { force: true });
  return { release, [Symbol.asyncDispose]: release };
};

/** The time from which on layers are spoken for: when the oldest living lease was taken, or never. */
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
