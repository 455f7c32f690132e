import { type FSWatcher, watch } from 'node:fs';
import { appendFile, open, stat, truncate } from 'node:fs/promises';
import { isErrno } from '../../base/errors.ts';
import { sanitiseName } from '../../base/sanitise.ts';

const TAIL_BYTES = 16 * 1024;
/** The largest size of a console log, in bytes. When a guest writes more, the oldest output is lost. */
const MAX_BYTES = 4 << 20;
/** The shortest time between two checks of the file: a guest may write endlessly. */
const PAUSE_MS = 500;

/** The last lines of a console log or of a program's stderr, sanitised because a guest may have written them. */
export const lastLines = async (path: string, count: number): Promise<string[]> => {
  const text = (await readTail(path, TAIL_BYTES)).toString('utf8');
  return text
    .split(/[\r\n]+/)
    .map(sanitiseName)
    .filter((line) => line.trim() !== '')
    .slice(-count);
};

/** Limits the size of a log that a VMM appends to, until `close`. */
export const boundLog = (path: string, maxBytes: number = MAX_BYTES): { close(): void } => {
  let timer: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;
  const look = () => {
    timer = undefined;
    // Failing to shorten a log (a full disk, a removed folder) must not end the machine.
    void shorten(path, maxBytes).catch(() => {});
  };
  try {
    watcher = watch(path, { persistent: false }, () => {
      timer ??= setTimeout(look, PAUSE_MS).unref();
    });
    watcher.on('error', () => watcher?.close());
  } catch (error) {
    // Without a watch (the limit per user is reached) the log is not limited.
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

/** Shortens the log. The writer appends, so it continues at the new end. */
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
