import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { HyprError } from '../../base/errors.ts';
import { Blocks, ReadAhead } from './pieces.ts';

/** A byte range of the original archive that the normal form also contains. */
export interface Extent {
  readonly original: number;
  readonly normal: number;
  readonly length: number;
}

export interface RecipeInput {
  readonly original: FileHandle;
  /** Size of the original archive in bytes. */
  readonly size: number;
  /** In the order of the original. */
  readonly extents: Iterable<Extent> | AsyncIterable<Extent>;
}

const CHUNK = 1024 * 1024;
/** Operations: one byte of kind, then two 64-bit numbers (copy: from, length) or one and the bytes (literal). */
const COPY = 1;
const LITERAL = 2;

/**
 * Writes how to rebuild the original archive, byte for byte, from the normal form: a gzip of copy and literal
 * operations, whose literals are the headers and everything else that was left out. This keeps diff ids verifiable and
 * lets an image be saved with its original digests.
 */
export const writeRecipe = async (path: string, input: RecipeInput): Promise<void> => {
  const gzip = createGzip({ level: 1, chunkSize: 64 * 1024 });
  await pipeline(operations(input), gzip, createWriteStream(path, { flags: 'wx', mode: 0o600 }));
};

async function* operations(input: RecipeInput): AsyncGenerator<Buffer> {
  const source = new ReadAhead(input.original, (at) => new Error(`the spooled layer ended at ${at} of ${input.size}`));
  const out = new Blocks();
  let at = 0;
  for await (const { original, normal, length } of untilEnd(input)) {
    while (at < original) {
      const piece = source.peek(at, original - at) ?? (await source.load(at, original - at));
      out.push(operation(LITERAL, piece.length));
      out.push(piece);
      at += piece.length;
      yield* out.takeFull();
    }
    if (length > 0) {
      out.push(operation(COPY, normal, length));
      at = original + length;
    }
  }
  yield* out.takeAll();
}

async function* untilEnd({ extents, size }: RecipeInput): AsyncGenerator<Extent> {
  yield* extents;
  yield { original: size, normal: 0, length: 0 };
}

const operation = (kind: number, ...numbers: readonly number[]): Buffer => {
  const buffer = Buffer.allocUnsafe(1 + 8 * numbers.length);
  buffer[0] = kind;
  for (const [index, number] of numbers.entries()) {
    buffer.writeBigUInt64BE(BigInt(number), 1 + 8 * index);
  }
  return buffer;
};

/** Streams the original archive. Throws IMAGE_CORRUPT when recipe and tar do not match. */
export async function* replayRecipe(recipe: string, tar: string): AsyncGenerator<Buffer> {
  const file = await open(tar, 'r');
  const source = createReadStream(recipe);
  const input = source.pipe(createGunzip({ chunkSize: CHUNK }));
  source.on('error', (error) => input.destroy(error));
  const reader = new Reader(input);
  const contents = new ReadAhead(file, () => corrupt('its layer.tar'));
  const out = new Blocks();
  try {
    for (let kind = await reader.read(1); kind.length === 1; kind = await reader.read(1)) {
      const first = Number((await reader.exactly(8)).readBigUInt64BE());
      if (kind[0] === LITERAL) {
        out.push(await reader.exactly(first));
      } else if (kind[0] === COPY) {
        const length = Number((await reader.exactly(8)).readBigUInt64BE());
        if (length < SMALL) {
          await copySmall(contents, { from: first, length, out });
        } else {
          yield* out.takeAll();
          yield* range(file, first, length);
        }
      } else {
        throw corrupt(recipe);
      }
      if (out.hasFull) {
        yield* out.takeFull();
      }
    }
    yield* out.takeAll();
  } catch (error) {
    throw isDamage(error) ? corrupt('its recipe') : error;
  } finally {
    source.destroy();
    input.destroy();
    await file.close();
  }
}

/** What a changed byte in a gzip, or in an offset that was in it, comes to: zlib's codes (zlib.h), and Node's for an offset that is none. */
const isDamage = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(?:Z_|ERR_OUT_OF_RANGE$)/.test(String(error.code));

/** Larger contents are read into buffers of their own. */
const SMALL = 128 * 1024;

const copySmall = async (contents: ReadAhead, { from, length, out }: { from: number; length: number; out: Blocks }): Promise<void> => {
  for (let at = 0; at < length; ) {
    const piece = contents.peek(from + at, length - at) ?? (await contents.load(from + at, length - at));
    out.push(piece);
    at += piece.length;
  }
};

async function* range(file: FileHandle, from: number, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < length; ) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK, length - at));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from + at);
    if (bytesRead === 0) {
      throw corrupt('its layer.tar');
    }
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

const corrupt = (what: string): HyprError =>
  new HyprError('IMAGE_CORRUPT', `a layer in the store is damaged: ${what}`, { hint: 'hypr system check --repair' });

class Reader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** `length` bytes, or fewer at the end. */
  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done) {
          break;
        }
        this.#rest = next.value;
      }
      const part = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(part.length);
      parts.push(part);
      left -= part.length;
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  async exactly(length: number): Promise<Buffer> {
    const data = length <= CHUNK ? await this.read(length) : Buffer.alloc(0);
    if (data.length !== length) {
      throw corrupt('its recipe');
    }
    return data;
  }
}
