import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, type ZlibOptions } from 'node:zlib';
import { HyprError, messageOf } from '../../../base/errors.ts';
import type { Tool } from '../../../vmm/model/tools.ts';

const CHUNK = 1024 * 1024;
const PIECE = 512 * 1024;
const CHUNKS_AHEAD = 8;

/**
 * The tar inside a layer blob: gzip, zstd or uncompressed, detected by its first bytes, not by its media type. Reads
 * `blob` to its end, so that its digest is verified; errors of the blob and of the decompressor are thrown by the
 * result. Throws IMAGE_LAYER, and TOOLCHAIN_MISSING without zstd.
 */
export async function* decompressLayer(blob: AsyncIterable<Buffer>, programs: Decompressors): AsyncGenerator<Buffer> {
  const source = blob[Symbol.asyncIterator]();
  const head: Buffer[] = [];
  try {
    for (let size = 0; size < 4; ) {
      const next = await source.next();
      if (next.done) {
        break;
      }
      head.push(next.value);
      size += next.value.length;
    }
    const magic = Buffer.concat(head).subarray(0, 4);
    const rest = resume(head, source);
    if (magic[0] === 0x1f && magic[1] === 0x8b) {
      yield* programs.igzip === undefined ? gunzip(rest) : runDecompressor(rest, programs.igzip, ['-dc']);
    } else if (magic.equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))) {
      yield* unzstd(rest, programs.zstd);
    } else {
      yield* rest;
    }
  } finally {
    await source.return?.();
  }
}

async function* resume(head: readonly Buffer[], rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield* head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) {
    yield next.value;
  }
}

/** Each piece is handed to another thread, which takes as long as inflating some ten thousand bytes. */
async function* inLargePieces(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of input) {
    pieces.push(piece);
    size += piece.length;
    if (size >= PIECE) {
      yield Buffer.concat(pieces);
      pieces = [];
      size = 0;
    }
  }
  yield Buffer.concat(pieces);
}

async function* gunzip(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  // Some chunks are buffered, so that inflating continues while earlier chunks are hashed and written.
  const inflate = createGunzip({ chunkSize: CHUNK, readableObjectMode: true, readableHighWaterMark: CHUNKS_AHEAD } as ZlibOptions);
  let failure: unknown;
  const feeding = pipeline(Readable.from(inLargePieces(input), { objectMode: false, highWaterMark: CHUNK }), inflate).catch(
    (error: unknown) => {
      failure = error;
    },
  );
  try {
    for await (const chunk of inflate) {
      yield chunk as Buffer;
    }
  } catch (error) {
    failure ??= error;
  }
  await feeding;
  if (failure !== undefined) {
    throw failure instanceof Error && /^Z_/.test(String((failure as { code?: unknown }).code)) ? damaged(failure) : failure;
  }
}

const damaged = (error: Error): HyprError =>
  new HyprError('IMAGE_LAYER', `a layer cannot be decompressed: ${messageOf(error)}`, {
    hint: 'the image is damaged; pull it again',
    cause: error,
  });

/** A program and its leading arguments. */
export interface Command {
  readonly file: string;
  readonly prefix: readonly string[];
}

export type ZstdCommand = Command;

export interface Decompressors {
  readonly zstd: Command | undefined;
  /** igzip of Intel's isa-l: three times as fast as zlib, and on another core. Without it zlib is used. */
  readonly igzip: Command | undefined;
}

/** Decompressors from PATH, or those next to mkfs.erofs in the toolchain. */
export const findDecompressors = (mkfsErofs: Tool, env: NodeJS.ProcessEnv = process.env): Decompressors => ({
  zstd: findZstd(mkfsErofs, env),
  igzip: findProgram('igzip', mkfsErofs, env),
});

export const findZstd = (mkfsErofs: Tool, env: NodeJS.ProcessEnv = process.env): ZstdCommand | undefined =>
  findProgram('zstd', mkfsErofs, env);

const findProgram = (name: string, mkfsErofs: Tool, env: NodeJS.ProcessEnv): Command | undefined => {
  const onPath = (env.PATH ?? '').split(delimiter).map((folder) => join(folder, name));
  const file = onPath.find((path) => path.startsWith('/') && existsSync(path));
  if (file !== undefined) {
    return { file, prefix: [] };
  }
  const program = mkfsErofs.prefix.at(-1);
  const beside = program === undefined ? undefined : join(dirname(program), name);
  return beside !== undefined && existsSync(beside)
    ? { file: mkfsErofs.file, prefix: [...mkfsErofs.prefix.slice(0, -1), beside] }
    : undefined;
};

async function* unzstd(input: AsyncIterable<Buffer>, zstd: Command | undefined): AsyncGenerator<Buffer> {
  if (zstd === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'a layer is compressed with zstd, and there is no zstd program', {
      hint: 'run: hypr setup, or install the package zstd',
    });
  }
  yield* runDecompressor(input, zstd, ['-dc', '--quiet']);
}

async function* runDecompressor(input: AsyncIterable<Buffer>, program: Command, args: readonly string[]): AsyncGenerator<Buffer> {
  const child = spawn(program.file, [...program.prefix, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-2000);
  });
  const ended = new Promise<number | Error>((resolve) => {
    child.on('error', resolve).on('close', (code) => resolve(code ?? -1));
  });
  let failure: unknown;
  const feeding = pipeline(Readable.from(input, { objectMode: false, highWaterMark: CHUNK }), child.stdin).catch((error: unknown) => {
    failure = error;
  });
  try {
    for await (const chunk of child.stdout) {
      yield chunk as Buffer;
    }
    await feeding;
    const code = await ended;
    if (failure !== undefined && (failure as NodeJS.ErrnoException).code !== 'EPIPE') {
      throw failure;
    }
    if (code !== 0) {
      throw damaged(new Error(words.trim() || messageOf(code)));
    }
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}
