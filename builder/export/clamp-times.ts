import { type FileHandle, open } from 'node:fs/promises';
import { END_MARK, padding } from '../../base/tar/block.ts';
import { encodeHeader } from '../layers/layer-format.ts';
import { scanTarFile } from '../layers/scan-file.ts';
import type { TarEntry } from '../layers/tar-scanner.ts';

const LIMITS = { extension: 1024 * 1024, fileSize: 1024 ** 4 };
const CHUNK = 1024 * 1024;

/** A layer's tar with no time later than `epoch` (seconds), otherwise unchanged. `path`: the store's `layerTar`. */
export async function* clampTimes(path: string, epoch: number): AsyncGenerator<Uint8Array> {
  const entries: TarEntry[] = [];
  await scanTarFile(path, LIMITS, (entry) => entries.push(entry));
  const file = await open(path, 'r');
  try {
    for (const entry of entries) {
      const mtime = Number(entry.mtime) > epoch ? String(epoch) : entry.mtime;
      const size = entry.type === 'file' ? entry.stored : 0;
      yield encodeHeader(entry.path.replace(/^\.?\/+|\/+$|^\.$/g, ''), { ...entry, mtime }, size);
      yield* readRange(file, entry.data, size);
      yield Buffer.alloc(padding(size));
    }
    yield END_MARK;
  } finally {
    await file.close();
  }
}

async function* readRange(file: FileHandle, from: number, size: number): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < size; ) {
    const { bytesRead, buffer } = await file.read(
      Buffer.allocUnsafe(Math.min(CHUNK, size - done)),
      0,
      Math.min(CHUNK, size - done),
      from + done,
    );
    if (bytesRead === 0) {
      throw new Error('a layer of the store is shorter than its index says');
    }
    yield buffer.subarray(0, bytesRead);
    done += bytesRead;
  }
}
