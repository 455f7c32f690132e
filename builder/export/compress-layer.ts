import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Duplex, Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { HyprError } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import type { Compression, CompressionName } from '../options/parse-output.ts';
import type { ZstdCommand } from '../registry/transport/decompress.ts';
import { gzipLayer } from '../registry/transport/gzip-layer.ts';
import type { BuildStore } from '../solver/frame/store.ts';
import { digestHex } from '../store/format/digest.ts';
import { type Descriptor, MEDIA } from '../store/format/manifest.ts';

/** A blob that can be read any number of times. */
export interface Blob {
  readonly descriptor: Descriptor;
  open(): AsyncIterable<Uint8Array>;
}

const OCI_SUFFIX: Readonly<Record<CompressionName, string>> = { uncompressed: '', gzip: '+gzip', zstd: '+zstd' };
const CHUNK = 1024 * 1024;

/**
 * Layers of the store as blobs, each compressed only once for all outputs. Compressed blobs are in `folder` as long as
 * it exists. Throws IMAGE_CORRUPT for a layer that is not in the store, and TOOLCHAIN_MISSING without zstd.
 */
export class LayerBlobs {
  readonly #made = new Map<string, Promise<Blob>>();

  constructor(
    private readonly options: {
      readonly store: Pick<BuildStore, 'hasLayer' | 'originalLayer'>;
      readonly folder: string;
      readonly zstd: ZstdCommand | undefined;
      readonly signal: AbortSignal;
    },
  ) {}

  get(diffId: string, compression: Compression): Promise<Blob> {
    const key = `${compression.type}-${compression.level ?? ''}-${digestHex(diffId)}`;
    const known = this.#made.get(key);
    if (known !== undefined) {
      return known;
    }
    const made = this.#make(diffId, compression, join(this.options.folder, key));
    // The caller handles a failure; this only prevents an unhandled rejection when two callers wait and one gives up.
    made.catch(() => undefined);
    this.#made.set(key, made);
    return made;
  }

  async #make(diffId: string, compression: Compression, path: string): Promise<Blob> {
    const { store, signal } = this.options;
    const layer = await store.hasLayer(diffId);
    if (layer === undefined) {
      throw new HyprError('IMAGE_CORRUPT', `the layer ${diffId} is not in the store`, { hint: 'build the image again' });
    }
    const mediaType = `${MEDIA.ociLayer}${OCI_SUFFIX[compression.type]}`;
    if (compression.type === 'uncompressed') {
      return { descriptor: { mediaType, digest: diffId, size: layer.size }, open: () => store.originalLayer(diffId) };
    }
    const read = () => createReadStream(path, { highWaterMark: CHUNK });
    if (compression.type === 'gzip' && compression.level === undefined) {
      // Compressed exactly as a push does it, so that a later push has the same digest.
      return { descriptor: { mediaType, ...(await gzipLayer(store.originalLayer(diffId), path, signal)) }, open: read };
    }
    const hash = createHash('sha256');
    let size = 0;
    const measure = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        hash.update(chunk);
        size += chunk.length;
        done(null, chunk);
      },
    });
    const source = Readable.from(store.originalLayer(diffId), { objectMode: false, highWaterMark: CHUNK });
    const target = createWriteStream(path, { flags: 'wx', mode: 0o600 });
    await pipeline(source, this.#compressor(compression), measure, target, { signal }).catch((error: unknown) => {
      throw diskError(error, path);
    });
    return {
      descriptor: { mediaType, digest: `sha256:${hash.digest('hex')}`, size },
      open: () => createReadStream(path, { highWaterMark: CHUNK }),
    };
  }

  #compressor({ type, level }: Compression): Duplex {
    return type === 'gzip'
      ? createGzip({ chunkSize: CHUNK, ...(level === undefined ? {} : { level }) })
      : runZstd(this.options.zstd, level);
  }
}

/** A zstd program as a stream; one thread, so that a layer always compresses to the same bytes. */
const runZstd = (zstd: ZstdCommand | undefined, level: number | undefined): Duplex => {
  if (zstd === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'compression=zstd needs the program zstd', {
      hint: 'run: hypr setup, or install the package zstd',
    });
  }
  const levels = level === undefined ? [] : level > 19 ? ['--ultra', `-${level}`] : [`-${Math.max(1, level)}`];
  const child = spawn(zstd.file, [...zstd.prefix, '-c', '--quiet', '--single-thread', ...levels], { stdio: ['pipe', 'pipe', 'ignore'] });
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  child.on('error', (error) => stream.destroy(error));
  child.on('close', (code) => {
    if (code !== 0) {
      stream.destroy(new HyprError('IMAGE_LAYER', `zstd ended with code ${code}`));
    }
  });
  stream.on('close', () => child.kill('SIGKILL'));
  return stream;
};

/** Small content that is in memory. */
export const memoryBlob = (descriptor: Descriptor, data: Uint8Array): Blob => ({
  descriptor,
  open: () => Readable.from([data], { objectMode: false }),
});
