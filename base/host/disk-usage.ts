import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.ts';

/**
 * Bytes that a file, or all files in a folder, take on disk: holes do not count, and a file with several hard links counts
 * once, also across calls that share `counted`. (Blocks shared by reflinked copies count for each copy.) Files that are
 * removed during the walk do not count.
 */
export const diskUsage = async (path: string, counted: Set<string> = new Set()): Promise<number> => {
  try {
    const info = await lstat(path);
    if (info.isDirectory()) {
      const below = await Promise.all((await readdir(path)).map((name) => diskUsage(join(path, name), counted)));
      return below.reduce((sum, bytes) => sum + bytes, 0);
    }
    const id = `${info.dev}:${info.ino}`;
    if (info.nlink > 1 && counted.has(id)) {
      return 0;
    }
    counted.add(id);
    return info.blocks * BLOCK;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return 0;
    }
    throw error;
  }
};

/** The unit of st_blocks in stat(2), regardless of the file system's block size. */
const BLOCK = 512;
