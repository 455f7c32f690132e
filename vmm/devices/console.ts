import { type FSWatcher, watch } from 'node:fs';
import { appendFile, open, stat, truncate } from 'node:fs/promises';
import { isErrno } from '../../base/errors.ts';
import { sanitiseName } from '../../base/sanitise.ts';

const TAIL_BYTES = 16 * 1024;
/** A console holds what a kernel says; a guest that writes more than this loses the oldest. */
const MAX_BYTES = 4 << 20;
/** How soon after a look the file is looked at again: a guest may write without end. */
const PAUSE_MS = 500;

/** The last lines of a console log or of a program's stderr, made harmless: a guest wrote them. */
export const lastLines = async (path: string, count: number): Promise<string[]> => {
  const text = (await readTail(path, TAIL_BYTES)).toString('utf8');
  return text
    .split(/[\r\n]+/)
    .map(sanitiseName)
    .filter((line) => line.trim() !== '')
    .slice(-count);
};

/** Keeps a log that a VMM appends to from growing without end. `close` lets go. */
export const boundLog = (path: string, maxBytes: number = MAX_BYTES): { close(): void } => {
  let timer: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;
  const look = () => {
    timer = undefined;
    // A log that cannot be shortened (a full disk, a folder that went away) is no reason to end anything.
    void shorten(path, maxBytes).catch(() => {});
  };
  try {
    watcher = watch(path, { persistent: false }, () => {
      timer ??= setTimeout(look, PAUSE_MS).unref();
    });
    watcher.on('error', () => watcher?.close());
  } catch (error) {
    // Without a watch (its limit per user is reached) the log is only as long as the guest makes it.
    if (!isErrno(error, 'ENOENT', 'ENOSPC', 'EMFILE')) {
      throw error;
    }
  }
  return {
    close: () => {
      clearTimeout(timer);
      watcher?.close();
    },
  };
};

/** The writer appends, so that a shorter file is written on from its new end. */
const shorten = async (path: string, maxBytes: number): Promise<void> => {
  if ((await stat(path)).size > maxBytes) {
    const tail = await readTail(path, TAIL_BYTES);
    await truncate(path, 0);
    await appendFile(path, tail);
  }
};

const readTail = async (path: string, bytes: number): Promise<Buffer> => {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const length = Math.min(size, bytes);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return Buffer.alloc(0);
    }
    throw error;
  }
};
