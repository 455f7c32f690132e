import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HyprError, isErrno } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import { writeWhole } from '../../base/host/write-whole.ts';

/** Writes a stream to a file atomically; pipes and devices are written to directly. */
export const writeFileWhole = async (data: AsyncIterable<Uint8Array>, path: string, signal: AbortSignal): Promise<void> => {
  const info = await stat(path).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) {
      throw diskError(error, path);
    }
  });
  if (info?.isDirectory()) {
    throw new HyprError('HYPR_USAGE', `${path} is a folder: the archive needs the name of a file`, { hint: 'add a file name to dest=' });
  }
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeWhole(data, path, { mode: 0o644, signal });
  } catch (error) {
    throw diskError(error, path);
  }
};

/** Writes to a stream without closing it, respecting backpressure. Throws HYPR_CANCELLED when the reader has gone. */
export const writeToStream = async (data: AsyncIterable<Uint8Array>, stream: NodeJS.WritableStream, signal: AbortSignal): Promise<void> => {
  const sink = new Writable({
    write: (chunk: Uint8Array, _encoding, done) => {
      stream.write(chunk, (error) => done(error ?? null));
    },
  });
  try {
    await pipeline(Readable.from(data, { objectMode: false }), sink, { signal });
  } catch (error) {
    if (isErrno(error, 'EPIPE')) {
      throw new HyprError('HYPR_CANCELLED', 'nobody reads the output any more', { cause: error });
    }
    throw error;
  }
};
