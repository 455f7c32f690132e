import { open } from 'node:fs/promises';
import { layerError } from './layer-format.ts';
import { type TarEntry, type TarLimits, TarScanner } from './tar-scanner.ts';

const CHUNK = 64 * 1024;

/** Reads the entries of an uncompressed tar on disk, skipping contents. Throws IMAGE_LAYER. */
export const scanTarFile = async (path: string, limits: TarLimits, onEntry: (entry: TarEntry) => void): Promise<void> => {
  const scanner = new TarScanner(onEntry, limits);
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(CHUNK);
    for (let position = 0; position < size && !scanner.isDone; ) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK, position);
      scanner.push(buffer.subarray(0, bytesRead));
      position += bytesRead + scanner.skipAhead();
      if (position > size) {
        throw layerError('it ends in the middle of an entry');
      }
    }
    scanner.finish();
  } finally {
    await file.close();
  }
};
