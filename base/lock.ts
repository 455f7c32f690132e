import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { sleep } from './deadline.ts';
import { HyprError, isErrno } from './errors.ts';
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
    return { identity: JSON.parse(text) as ProcessIdentity, text };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw error;
  }
};

/** Two waiters may see the same dead holder; only the file they both saw may be removed. */
const removeIfStill = async (path: string, text: string): Promise<void> => {
  if ((await readHolder(path))?.text === text) {
    await rm(path, { force: true });
  }
};
