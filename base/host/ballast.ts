import { randomBytes } from 'node:crypto';
import { rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Its name in the folder. */
export const BALLAST = 'ballast';
const BYTES = 8 * 1024 * 1024;
/** With less than this free, the space is worth more elsewhere. */
const PLENTY = 16 * BYTES;

/**
 * Keeps a file of 8 MiB in a folder for the day its disk is full: what ends then must still be recorded, and what is removed, too.
 * Random bytes, because some file systems store zeros as nothing. Does nothing while the disk has little room, and never fails.
 */
export const keepBallast = (folder: string): void => {
  const file = join(folder, BALLAST);
  try {
    if (statSync(file, { throwIfNoEntry: false }) === undefined && freeBytes(folder) > PLENTY) {
      writeFileSync(file, randomBytes(BYTES), { mode: 0o600, flag: 'wx' });
    }
  } catch {
    // Half a ballast is of use, too; without one, a full disk is an error sooner.
  }
};

/** Gives the ballast of a folder up. False when there was none. */
export const dropBallast = (folder: string): boolean => {
  const file = join(folder, BALLAST);
  try {
    rmSync(file);
    return true;
  } catch {
    return false;
  }
};

const freeBytes = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};
