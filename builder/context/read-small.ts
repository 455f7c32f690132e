import { closeSync, openSync, readSync } from 'node:fs';

/** Files up to this size are read at once, on this thread. */
export const SMALL_FILE = 64 * 1024;

/**
 * Fills `into` from a place of a file on; gives how many bytes there were. One file costs a few microseconds in this
 * way, and some fifty by promises. Throws what opening and reading throw.
 */
export const readSmallFile = (path: string, into: Buffer, { flags, position }: { flags: number; position: number }): number => {
  const file = openSync(path, flags);
  try {
    let done = 0;
    while (done < into.length) {
      const count = readSync(file, into, done, into.length - done, position + done);
      if (count === 0) {
        break;
      }
      done += count;
    }
    return done;
  } finally {
    closeSync(file);
  }
};
