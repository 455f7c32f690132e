import { type BigIntStats, closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Files up to this size are read at once, on this thread. */
export const SMALL_FILE = 64 * 1024;

/**
 * Fills `into` from a position of a file and returns the number of bytes. Takes a few microseconds for a file,
 * promises about fifty. `after` gets what the file is once it was read. Throws the errors of open and read.
 */
export const readSmallFile = (
  path: string | Buffer,
  into: Buffer,
  { flags, position, after }: { flags: number; position: number; after?: (stat: BigIntStats) => void },
): number => {
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
    after?.(fstatSync(file, { bigint: true }));
    return done;
  } finally {
    closeSync(file);
  }
};
