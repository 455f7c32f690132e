import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import { BLOCK, END_MARK } from '../../base/tar/block.ts';
import { EntryReader } from './entry-reader.ts';
import { encodeHeader } from './layer-format.ts';
import type { LayerLimits } from './layer-limits.ts';
import { LayerModel } from './layer-model.ts';
import { LayerScan } from './layer-scan.ts';
import { FLAG } from './node-table.ts';
import { ReadAhead } from './pieces.ts';
import { type Extent, writeRecipe } from './recipe.ts';
import { IMPLIED, keptExtents, type Original, writeNormalTar } from './rewrite.ts';
import { type TarLimits, TarScanner } from './tar-scanner.ts';
import { TextStore } from './text-store.ts';

export interface NormaliseOptions {
  /** An empty folder, in which `layer.tar` and `recipe.gz` are written. */
  readonly folder: string;
  /** `sha256:…` of the original archive; throws IMAGE_CORRUPT for another one. */
  readonly expectedDiffId?: string | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface NormalLayer {
  /** `sha256:…` of the original archive. */
  readonly diffId: string;
  /** Size of the original archive in bytes. */
  readonly size: number;
  /** The layer hides all lower layers (an opaque root, which mkfs.erofs cannot express). */
  readonly opaqueRoot: boolean;
  /** Paths of folders that have contents but no entry of their own, as byte strings. */
  readonly implied: readonly string[];
  /** The archive was already in normal form and is kept as it is. */
  readonly verbatim: boolean;
}

interface Limits extends LayerLimits, TarLimits {
  /** Number of files and folders from which a layer counts as large; only one large layer is scanned at a time. */
  readonly large: number;
}

const LIMITS: Limits = {
  large: 250_000,
  entries: 2_500_000,
  path: 4096,
  depth: 512,
  bytes: 1024 ** 4,
  xattrs: 128 * 1024 ** 2,
  extension: 1024 ** 2,
  fileSize: 512 * 1024 ** 3,
};
/** Dirty pages are synced in portions of this size while the rest is still arriving. */
const SYNC_EVERY = 64 * 1024 ** 2;
/** Minimum number of bytes that are written, hashed and scanned together. */
const PORTION = 256 * 1024;

/**
 * Reads an uncompressed layer tar and leaves `layer.tar`, in the form that mkfs.erofs --aufs reads correctly, and
 * `recipe.gz`, from which the original can be rebuilt. Both are synced. A tar that is already in normal form only gets a
 * root entry. Throws IMAGE_LAYER, IMAGE_CORRUPT, HYPR_DISK_FULL.
 */
export const normaliseLayer = async (tar: AsyncIterable<Uint8Array>, options: NormaliseOptions): Promise<NormalLayer> => {
  const limits = { ...LIMITS, ...options.limits };
  const texts = new TextStore(join(options.folder, 'names'));
  const model = new LayerModel(limits, texts);
  const scanner = new TarScanner((entry) => model.add(entry), limits);
  const scan = new LayerScan(scanner, model, limits.large);
  const original = await open(join(options.folder, 'original.tar'), 'wx+', 0o600);
  try {
    const { diffId, size } = await spool(tar, { file: original, scan, limits, signal: options.signal });
    if (options.expectedDiffId !== undefined && diffId !== options.expectedDiffId) {
      throw new HyprError('IMAGE_CORRUPT', `a layer should have the digest ${options.expectedDiffId} and has ${diffId}`);
    }
    await scan.finish(original, size, options.signal);
    const from = openOriginal(original, limits);
    await model.finish(from.entries);
    const verbatim = model.plain && !scanner.leftOut;
    await (verbatim ? keepVerbatim({ from, size, end: scanner.end, options, model }) : rewrite({ from, size, options, model }));
    return { diffId, size, opaqueRoot: model.nodes.has(0, FLAG.opaque), implied: verbatim ? [] : model.implied(), verbatim };
  } catch (error) {
    throw diskError(error, options.folder);
  } finally {
    scan.close();
    texts.close();
    await original.close();
  }
};

interface Spooled {
  readonly from: Original;
  readonly size: number;
  readonly options: NormaliseOptions;
  readonly model: LayerModel;
}

const openOriginal = (file: FileHandle, limits: TarLimits): Original => {
  const contents = new ReadAhead(file, (at) => new Error(`the spooled layer ended at ${at} (block ${Math.floor(at / BLOCK)})`));
  return { file, contents, entries: new EntryReader(contents, limits) };
};

const spool = async (
  tar: AsyncIterable<Uint8Array>,
  input: { file: FileHandle; scan: LayerScan; limits: LayerLimits; signal: AbortSignal | undefined },
): Promise<{ diffId: string; size: number }> => {
  const hash = createHash('sha256');
  let size = 0;
  let synced = 0;
  let syncing: Promise<void> | undefined;
  let failure: { error: unknown } | undefined;
  for await (const chunk of inPortions(tar)) {
    input.signal?.throwIfAborted();
    const written = writeAll(input.file, chunk, size);
    // Hashing and scanning run during the write; if they fail, the write's result must still be awaited.
    try {
      hash.update(chunk);
      input.scan.push(chunk);
    } finally {
      await written;
    }
    size += chunk.length;
    if (size > input.limits.bytes) {
      throw new HyprError('IMAGE_LAYER', `a layer has more than ${input.limits.bytes} bytes`);
    }
    if (size - synced > SYNC_EVERY && syncing === undefined) {
      synced = size;
      syncing = input.file.datasync().then(
        () => {
          syncing = undefined;
        },
        (error: unknown) => {
          failure = { error };
        },
      );
    }
  }
  await syncing;
  if (failure !== undefined) {
    throw failure.error;
  }
  return { diffId: `sha256:${hash.digest('hex')}`, size };
};

/** A tar of small files arrives as two chunks per file; joined, they cost one write, one hash and one scan. */
async function* inPortions(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of tar) {
    pieces.push(piece);
    length += piece.length;
    if (length >= PORTION) {
      yield joined(pieces);
      pieces = [];
      length = 0;
    }
  }
  if (length > 0) {
    yield joined(pieces);
  }
}

const joined = (pieces: readonly Uint8Array[]): Buffer => {
  const [first] = pieces;
  return pieces.length === 1 && first !== undefined ? Buffer.from(first.buffer, first.byteOffset, first.byteLength) : Buffer.concat(pieces);
};

/** The original becomes the stored tar: its end mark is replaced by a root entry (if it has none) and a new end mark. */
const keepVerbatim = async ({ from, size, end, options, model }: Spooled & { readonly end: number }): Promise<void> => {
  const original = from.file;
  const extents: Extent[] = end === 0 ? [] : [{ original: 0, normal: 0, length: end }];
  await writeRecipe(join(options.folder, 'recipe.gz'), { original, size, extents });
  await original.truncate(end);
  const tail = Buffer.concat([model.hasRoot ? Buffer.alloc(0) : encodeHeader('', IMPLIED, 0), END_MARK]);
  await writeAll(original, tail, end);
  await original.sync();
  await rename(join(options.folder, 'original.tar'), join(options.folder, 'layer.tar'));
  await syncFile(join(options.folder, 'recipe.gz'));
};

const rewrite = async ({ from, size, options, model }: Spooled): Promise<void> => {
  const normal = await open(join(options.folder, 'layer.tar'), 'wx', 0o600);
  try {
    const places = await writeNormalTar(model, { from, to: normal, signal: options.signal });
    const extents = keptExtents(model, from, places);
    await writeRecipe(join(options.folder, 'recipe.gz'), { original: from.file, size, extents });
    await normal.sync();
  } finally {
    await normal.close();
  }
  await rm(join(options.folder, 'original.tar'));
  await syncFile(join(options.folder, 'recipe.gz'));
};

const syncFile = async (path: string): Promise<void> => {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
};

const writeAll = async (file: FileHandle, data: Buffer, position: number): Promise<void> => {
  for (let at = 0; at < data.length; ) {
    at += (await file.write(data, at, data.length - at, position + at)).bytesWritten;
  }
};
