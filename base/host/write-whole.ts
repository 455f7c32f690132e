import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isErrno } from '../errors.ts';
import { syncFile } from './files.ts';
import { stagingPathBeside } from './staging.ts';

export interface WriteWholeOptions {
  /** Permissions of a file that is made. */
  readonly mode: number;
  readonly signal?: AbortSignal | undefined;
}

/** Writes a stream to a file of the user's: the whole of it appears, or nothing. Pipes and devices are written to directly. Throws errors of the system. */
export const writeWhole = async (data: AsyncIterable<Uint8Array>, path: string, { mode, signal }: WriteWholeOptions): Promise<void> => {
  const isPlain = await stat(path).then(
    (info) => info.isFile(),
    (error: unknown) => {
      if (isErrno(error, 'ENOENT')) {
        return true;
      }
      throw error;
    },
  );
  const target = isPlain ? await stagingPathBeside(path) : path;
  try {
    const file = createWriteStream(target, isPlain ? { flags: 'wx', mode } : {});
    await pipeline(Readable.from(data, { objectMode: false }), file, signal === undefined ? {} : { signal });
    if (isPlain) {
      await syncFile(target);
      await rename(target, path);
    }
  } catch (error) {
    if (isPlain) {
      await rm(target, { force: true });
    }
    throw error;
  }
};
