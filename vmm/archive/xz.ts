import xz from 'xz-decompress';

/** A WebAssembly module of 20 kB, imported only where something is compressed with xz; a module of its own for the bundle. */
export const { XzReadableStream } = xz;
