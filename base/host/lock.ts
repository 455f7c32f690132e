import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sleep } from '../deadline.ts';
import { HyprError, isErrno } from '../errors.ts';
import { shortHash } from '../paths.ts';
import { diskError } from './files.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from './process.ts';

export interface LockOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds to wait for the holder; 0 fails at once. Default 10 minutes. */
  readonly timeout?: number;
  /** The thing the lock protects, for the error message: "the toolchain". */
  readonly what: string;
  /** Called once when another process holds the lock. */
  readonly onWait?: (holder: ProcessIdentity) => void;
}

/**
 * Runs `work` while only this process holds the lock, a symlink that names its holder by pid and start time, so that the
 * lock of a killed holder is taken over at once. A symlink is created atomically and needs no data block, so locks also
 * work on a full disk, where something has to be removed.
 */
export const withLock = async <T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> => {
  await acquire(path, options);
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
};

/** Who holds a lock, unless that is this process or has ended. */
export const lockHolder = (path: string): ProcessIdentity | undefined => {
  let text: string;
  try {
    text = readlinkSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EINVAL')) {
      return undefined;
    }
    throw error;
  }
  const { identity } = holderIn(text);
  return identity.pid !== process.pid && isAlive(identity) ? identity : undefined;
};

/** Locks of a folder whose holders are dead. */
export const findDeadLocks = async (folder: string): Promise<Array<{ readonly path: string; readonly pid: number }>> =>
  (await deadLocks(folder)).map(({ path, holder }) => ({ path, pid: holder.identity.pid }));

/** Removes the locks of a folder whose holders are dead; nobody might ever take them again. */
export const sweepLocks = async (folder: string): Promise<void> => {
  for (const { path, holder } of await deadLocks(folder)) {
    await removeIfStill(path, holder.text);
  }
};

interface Holder {
  readonly identity: ProcessIdentity;
  readonly text: string;
}

const deadLocks = async (folder: string): Promise<Array<{ readonly path: string; readonly holder: Holder }>> => {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  });
  const found: Array<{ path: string; holder: Holder }> = [];
  for (const entry of entries.filter((one) => one.isSymbolicLink())) {
    const path = join(folder, entry.name);
    const holder = await readHolder(path);
    if (holder !== undefined && !isAlive(holder.identity)) {
      found.push({ path, holder });
    }
  }
  return found;
};

const acquire = async (path: string, options: LockOptions): Promise<void> => {
  const deadline = Date.now() + (options.timeout ?? 600_000);
  for (let told = false; !(await take(path)); ) {
    const holder = await readHolder(path);
    if (holder !== undefined && !isAlive(holder.identity)) {
      await removeIfStill(path, holder.text);
      continue;
    }
    if (holder !== undefined && !told) {
      told = true;
      options.onWait?.(holder.identity);
    }
    if (Date.now() >= deadline) {
      const who = holder ? ` (pid ${holder.identity.pid})` : '';
      throw new HyprError('HYPR_LOCKED', `another hypr process${who} is busy with ${options.what}`);
    }
    // Polled, because no event tells other processes about a lock on every file system.
    await sleep(50, options.signal);
  }
};

/** False if another process holds it. */
const take = async (path: string): Promise<boolean> => {
  const { pid, startTime } = identifyProcess(process.pid) ?? { pid: process.pid, startTime: '' };
  const text = `${pid} ${startTime} ${randomBytes(6).toString('hex')}`;
  try {
    await symlink(text, path);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) {
      return false;
    }
    if (!isErrno(error, 'ENOENT')) {
      throw diskError(error, path);
    }
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw diskError(error, path);
  });
  return await take(path);
};

const readHolder = async (path: string): Promise<Holder | undefined> => {
  try {
    return holderIn(await readlink(path));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    if (!isErrno(error, 'EINVAL')) {
      throw error;
    }
  }
  return await readOldHolder(path);
};

const holderIn = (text: string): Holder => {
  const [pid, startTime = ''] = text.split(' ');
  return { identity: { pid: Number(pid), startTime }, text };
};

/** Locks of older versions of hypr were regular files. */
const readOldHolder = async (path: string): Promise<Holder | undefined> => {
  try {
    const text = await readFile(path, 'utf8');
    return { identity: parseIdentity(text), text };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw error;
  }
};

/** A file that a power cut left empty has no holder: pid 0 is never alive. */
const parseIdentity = (text: string): ProcessIdentity => {
  try {
    return JSON.parse(text) as ProcessIdentity;
  } catch {
    return { pid: 0, startTime: '' };
  }
};

/**
 * Two waiters may see the same dead holder, and only the lock that both saw may be removed, not the new one of the
 * faster waiter. So checking and removing is itself under a lock, one per dead holder.
 */
const removeIfStill = async (path: string, text: string): Promise<void> => {
  const claim = `${path}.${shortHash(text, 12)}.stale`;
  if (!(await take(claim))) {
    const claimer = await readHolder(claim);
    if (claimer !== undefined && !isAlive(claimer.identity)) {
      await rm(claim, { force: true });
    }
    return;
  }
  try {
    if ((await readHolder(path))?.text === text) {
      await rm(path, { force: true });
    }
  } finally {
    await rm(claim, { force: true });
  }
};
