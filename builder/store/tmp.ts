import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identifyProcess, isAlive, type ProcessIdentity } from '../../base/process.ts';

/** A private folder below `tmp/` of the store, on the same file system, so that renames out of it are atomic. */
export interface Aside {
  readonly path: string;
  remove(): Promise<void>;
}

/** Its name says whose it is, so that what a killed process left can be told from work under way. */
export const makeAside = async (root: string, what: string): Promise<Aside> => {
  const startTime = identifyProcess(process.pid)?.startTime ?? '0';
  const path = join(root, 'tmp', `${what}-${process.pid}-${startTime}-${randomBytes(6).toString('hex')}`);
  await mkdir(path, { recursive: true, mode: 0o700 });
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
};

/** Removes what dead processes left in `tmp/`. */
export const sweepAsides = async (root: string): Promise<void> => {
  for (const name of await readdir(join(root, 'tmp'))) {
    const match = /^[a-z]+-(\d+)-(\d+)-[0-9a-f]+$/.exec(name);
    const owner = match === null ? undefined : { pid: Number(match[1]), startTime: match[2] ?? '' };
    if (owner === undefined || !isAlive(owner)) {
      await rm(join(root, 'tmp', name), { recursive: true, force: true });
    }
  }
};

interface LeaseRecord {
  readonly owner: ProcessIdentity;
  readonly since: number;
}

/** While it lives, gc keeps every layer that was added or found since it was taken. */
export interface Lease extends AsyncDisposable {
  release(): Promise<void>;
}

export const takeLease = async (root: string): Promise<Lease> => {
  const path = join(root, 'leases', `${process.pid}-${randomBytes(6).toString('hex')}.json`);
  // A file time can be a little behind the clock.
  const record: LeaseRecord = { owner: identifyProcess(process.pid) ?? { pid: process.pid, startTime: '' }, since: Date.now() - 1000 };
  await writeFile(path, JSON.stringify(record), { mode: 0o600 });
  const release = () => rm(path, { force: true });
  return { release, [Symbol.asyncDispose]: release };
};

/** The time from which on layers are spoken for: when the oldest living lease was taken, or never. */
export const oldestLease = async (root: string): Promise<number> => {
  let oldest = Number.POSITIVE_INFINITY;
  for (const name of await readdir(join(root, 'leases'))) {
    const path = join(root, 'leases', name);
    const record = await readFile(path, 'utf8').then(parseLease, () => undefined);
    if (record !== undefined && isAlive(record.owner)) {
      oldest = Math.min(oldest, record.since);
    } else {
      await rm(path, { force: true });
    }
  }
  return oldest;
};

const parseLease = (text: string): LeaseRecord | undefined => {
  try {
    return JSON.parse(text) as LeaseRecord;
  } catch {
    // Half-written by a process that is just taking it, or was killed doing so: its layers are new anyway.
    return { owner: { pid: process.pid, startTime: identifyProcess(process.pid)?.startTime ?? '' }, since: Date.now() - 60_000 };
  }
};
