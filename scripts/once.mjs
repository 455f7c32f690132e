// Work that is done once for the same input. This file runs with the user's Node (18 or newer).
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Does `work` unless a stamp in `root` says that it was done for the input `wanted` and all `products` exist. Only one process
 * at a time does it.
 */
export const once = async ({ root, name, wanted, products = [] }, work) => {
  const stamps = join(root, 'node_modules', '.hypr');
  const stamp = join(stamps, name);
  const isDone = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && products.every((path) => existsSync(path));
  if (isDone()) {
    return;
  }
  const release = await takeLock(join(root, `.${name}.lock`));
  try {
    if (!isDone()) {
      await work();
      mkdirSync(stamps, { recursive: true });
      // A file of its own: a copy of node_modules made of hard links keeps what it had.
      writeFileSync(`${stamp}.new`, wanted);
      renameSync(`${stamp}.new`, stamp);
    }
  } finally {
    release();
  }
};

/** One hash of the names and contents of these files (hexadecimal SHA-256). */
export const hash = (files) => {
  const sum = createHash('sha256');
  for (const file of files) {
    sum.update(file).update('\0').update(readFileSync(file)).update('\0');
  }
  return sum.digest('hex');
};

const takeLock = async (path) => {
  for (;;) {
    try {
      // A symlink that names its holder, because it is created atomically.
      symlinkSync(String(process.pid), path);
      return () => unlinkSync(path);
    } catch (error) {
      if (error.code !== 'EEXIST') {
        throw error;
      }
      if (!isHeld(path)) {
        rmSync(path, { recursive: true, force: true });
      }
      // Polls, because the end of another process gives no event.
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
};

/** Whether the process that took the lock still runs. */
const isHeld = (path) => {
  try {
    process.kill(Number(readlinkSync(path)), 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
};
