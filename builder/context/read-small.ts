import { closeSync, openSync, readSync } from 'node:fs';

/** Files up to this size are read at once, on this thread. */
export const SMALL_FILE = 64 * 1024;

/**
 * Fills `into` from a position of a file and returns the number of bytes. Takes a few microseconds for a file,
 * promises about fifty. Throws the errors of open and read.
 */
export const readSmallFile = (path: string | Buffer, into: Buffer, { flags, position }: { flags: number; position: number }): number => {
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
