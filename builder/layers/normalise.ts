import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import { BLOCK, END_MARK } from '../tar/block.ts';
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
  /** An empty folder; gets `layer.tar` and `recipe.gz`. */
  readonly folder: string;
  /** `sha256:…` of the archive as it comes; another one is IMAGE_CORRUPT. */
  readonly expectedDiffId?: string | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface NormalLayer {
  /** `sha256:…` of the archive as it came. */
  readonly diffId: string;
  /** Its bytes. */
  readonly size: number;
  /** The layer hides everything below it (an opaque root, which mkfs.erofs cannot express). */
  readonly opaqueRoot: boolean;
  /** Folders that the archive has no entry for though something lies in them, as byte strings. */
  readonly implied: readonly string[];
  /** The archive was in normal form already and is kept as it is. */
  readonly verbatim: boolean;
}

interface Limits extends LayerLimits, TarLimits {
  /** Files and folders from which on a layer is looked at while no other of that many is. */
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
/** Dirty pages are handed to the disk in such portions while the rest still comes in. */
const SYNC_EVERY = 64 * 1024 ** 2;
/** Bytes that are written, hashed and looked at together, at least. */
const PORTION = 256 * 1024;

/**
 * Takes an uncompressed layer tar as it comes and leaves `layer.tar` in the form that mkfs.erofs (with
 * --aufs) reads rightly, and `recipe.gz`, by which the original can be had back. Both are synced. A tar
 * that is in order already is only extended by its root entry. Throws IMAGE_LAYER, IMAGE_CORRUPT, HYPR_DISK_FULL.
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
    // Hashing and looking go on while the write is under way; a failure of theirs must not leave it unheard.
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

/** A tar of small files comes as two pieces for each: together they cost one write, one hash, one look. */
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

/** The original becomes the stored tar: its end mark is replaced by a root entry (if it has none) and a new mark. */
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
