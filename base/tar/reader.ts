import type { FileHandle } from 'node:fs/promises';
import { BLOCK, isZeroBlock, padding, tarError } from './block.ts';
import { decodeHeader, readFlag, readSize, type TarHeader } from './header.ts';
import { parsePax } from './pax.ts';

/** A source of bytes: a seekable file, or a stream. */
export interface ByteSource {
  /** Bytes consumed so far. */
  readonly position: number;
  /** Exactly `length` bytes; fewer only at the end. */
  read(length: number): Promise<Buffer>;
  skip(length: number): Promise<void>;
}

export interface TarItem {
  readonly header: TarHeader;
  /** All header blocks, including extensions, unchanged. */
  readonly raw: Buffer;
  /** Where the content starts. */
  readonly offset: number;
}

const MAX_EXTENSION = 1024 * 1024;
const BUFFER = 64 * 1024;

/**
 * The entries of an uncompressed tar. The caller may read the content (`header.size` bytes, then its
 * padding) from the source; the rest is skipped. Throws IMAGE_LAYER for damaged archives.
 */
export async function* readTar(source: ByteSource): AsyncGenerator<TarItem> {
  const global = new Map<string, Buffer>();
  let pax = new Map<string, Buffer>();
  let raw: Buffer[] = [];
  for (;;) {
    const block = await source.read(BLOCK);
    // A missing end marker is accepted, a partial header is not.
    if (block.length === 0 || isZeroBlock(block)) {
      return;
    }
    if (block.length < BLOCK) {
      throw tarError('it ends in the middle of a header');
    }
    raw.push(block);
    const flag = readFlag(block);
    if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
      raw.push(await readExtension(source, block, { flag, pax, global }));
      continue;
    }
    const header = decodeHeader(block, new Map([...global, ...pax]));
    const offset = source.position;
    yield { header, raw: Buffer.concat(raw), offset };
    const end = offset + header.size + padding(header.size);
    if (source.position > end) {
      throw tarError('more than the content was read');
    }
    await source.skip(end - source.position);
    pax = new Map();
    raw = [];
  }
}

const readExtension = async (
  source: ByteSource,
  block: Buffer,
  target: { flag: string; pax: Map<string, Buffer>; global: Map<string, Buffer> },
): Promise<Buffer> => {
  const size = readSize(block);
  if (size > MAX_EXTENSION) {
    throw tarError('an extended header is too long');
  }
  const padded = await source.read(size + padding(size));
  if (padded.length < size) {
    throw tarError('it ends in the middle of an extended header');
  }
  const data = padded.subarray(0, size);
  if (target.flag === 'x' || target.flag === 'g') {
    const records = target.flag === 'x' ? target.pax : target.global;
    for (const [key, value] of parsePax(data)) {
      records.set(key, value);
    }
  } else {
    target.pax.set(target.flag === 'L' ? 'path' : 'linkpath', Buffer.from(data.subarray(0, data.includes(0) ? data.indexOf(0) : size)));
  }
  return padded;
};

/** A regular file, read in pieces; skipping moves on without reading. */
export class FileSource implements ByteSource {
  position = 0;
  readonly #file: FileHandle;
  readonly #size: number;
  #buffer = Buffer.alloc(0);
  #start = 0;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  async read(length: number): Promise<Buffer> {
    const want = Math.min(length, this.#size - this.position);
    const at = this.position - this.#start;
    if (at < 0 || at + want > this.#buffer.length) {
      const target = Buffer.allocUnsafe(Math.min(Math.max(want, BUFFER), this.#size - this.position));
      const { bytesRead } = await this.#file.read(target, 0, target.length, this.position);
      this.#buffer = target.subarray(0, bytesRead);
      this.#start = this.position;
    }
    const from = this.position - this.#start;
    const data = Buffer.from(this.#buffer.subarray(from, from + want));
    this.position += data.length;
    return data;
  }

  async skip(length: number): Promise<void> {
    if (this.position + length > this.#size) {
      throw tarError('it ends within the content of a file');
    }
    this.position += length;
  }
}

/** A stream of chunks. */
export class StreamSource implements ByteSource {
  position = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** The next bytes, at most `limit`; empty at the end. */
  async take(limit: number): Promise<Buffer> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done) {
        return Buffer.alloc(0);
      }
      this.#rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    const data = this.#rest.subarray(0, limit);
    this.#rest = this.#rest.subarray(data.length);
    this.position += data.length;
    return data;
  }

  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const part = await this.take(left);
      if (part.length === 0) {
        break;
      }
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts);
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) {
      const part = await this.take(left);
      if (part.length === 0) {
        throw tarError('it ends within the content of a file');
      }
      left -= part.length;
    }
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
