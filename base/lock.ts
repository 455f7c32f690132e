import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { sleep } from './deadline.ts';
import { HyprError, isErrno } from './errors.ts';
import { shortHash } from './paths.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from './process.ts';

export interface LockOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds to wait for the holder; 0 fails at once. Default 10 minutes. */
  readonly timeout?: number;
  /** What the lock protects, for the error text: "the toolchain". */
  readonly what: string;
  /** Told once when somebody else holds it. */
  readonly onWait?: (holder: ProcessIdentity) => void;
}

/**
 * Runs `work` while this process alone holds the lock file. The file names its holder by pid and start
 * time, so a lock whose holder was killed is taken over at once. `link` makes taking it atomic.
 */
export const withLock = async <T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const release = await acquire(path, options);
  try {
    return await work();
  } finally {
    await release();
  }
};

const acquire = async (path: string, options: LockOptions): Promise<() => Promise<void>> => {
  const mine = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const me = JSON.stringify({ ...identifyProcess(process.pid), token: mine });
  const deadline = Date.now() + (options.timeout ?? 600_000);
  await writeFile(mine, me, { mode: 0o600 });
  try {
    for (let told = false; ; ) {
      try {
        await link(mine, path);
        return () => rm(path, { force: true });
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) {
          throw error;
        }
      }
      const holder = await readHolder(path);
      if (holder !== undefined && !isAlive(holder.identity)) {
        await removeIfStill(path, holder.text, mine);
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
      // A lock file gives no event to other processes that works on every file system.
      await sleep(50, options.signal);
    }
  } finally {
    await rm(mine, { force: true });
  }
};

const readHolder = async (path: string): Promise<{ identity: ProcessIdentity; text: string } | undefined> => {
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

/** A file that a power cut left empty names nobody: pid 0 is never alive. */
const parseIdentity = (text: string): ProcessIdentity => {
  try {
    return JSON.parse(text) as ProcessIdentity;
  } catch {
    return { pid: 0, startTime: '' };
  }
};

/**
 * Two waiters may see the same dead holder, and only the file they both saw may be removed: not the one
 * that the faster of them puts there next. So looking and removing is for one at a time, for each dead holder.
 */
const removeIfStill = async (path: string, text: string, mine: string): Promise<void> => {
  const claim = `${path}.${shortHash(text, 12)}.stale`;
  try {
    await link(mine, claim);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) {
      throw error;
    }
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
