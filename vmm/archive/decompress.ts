import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { HyprError } from '../../base/errors.ts';

/** Decompresses by the ending of a name: .xz, .zst, .gz or none. Node has no xz; a small WebAssembly module does it. */
export const decompress = async (source: Readable, name: string): Promise<AsyncIterable<Uint8Array>> => {
  const ending = /\.[a-z]+$/.exec(name)?.[0];
  switch (ending) {
    case '.xz':
      return withXz(source);
    case '.zst':
      return source.compose(createZstdDecompress()) as AsyncIterable<Uint8Array>;
    case '.gz':
      return source.compose(createGunzip()) as AsyncIterable<Uint8Array>;
    case undefined:
    case '.tar':
      return source;
    default:
      throw new HyprError('TOOLCHAIN_FAILED', `${name} is compressed in a way that is not known`);
  }
};

const withXz = async (source: Readable): Promise<AsyncIterable<Uint8Array>> => {
  const { XzReadableStream } = await import('./xz.ts');
  return new XzReadableStream(Readable.toWeb(source) as ReadableStream<Uint8Array>) as unknown as AsyncIterable<Uint8Array>;
};
