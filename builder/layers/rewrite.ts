import type { FileHandle } from 'node:fs/promises';
import { BLOCK, type ByteString, END_MARK, padding } from '../../base/tar/block.ts';
import type { EntryReader } from './entry-reader.ts';
import { type Attributes, encodeHeader } from './layer-format.ts';
import type { LayerModel } from './layer-model.ts';
import { FLAG, type NodeId } from './node-table.ts';
import type { ReadAhead } from './pieces.ts';
import type { Extent } from './recipe.ts';
import { checkPieces, readInlineMap, type SparsePiece } from './sparse.ts';
import type { TarEntry } from './tar-scanner.ts';

const CHUNK = 1024 * 1024;
const MARK: Attributes = { type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: '0', link: '', devMajor: 0, devMinor: 0, xattrs: [] };
/** Attributes of folders that exist only because something is in them. */
export const IMPLIED: Attributes = { ...MARK, type: 'dir', mode: 0o755 };

/** The original archive, and ways to read it. */
export interface Original {
  readonly file: FileHandle;
  readonly contents: ReadAhead;
  readonly entries: EntryReader;
}

/** Where each file's content is in the new archive: the block number by node number, 0 for contents that are left out or empty. */
export type Places = Uint32Array;

/**
 * Writes the normal form of a layer: `./` first, every folder before its contents, each name once, one content per file,
 * followed by hard links to it.
 */
export const writeNormalTar = async (
  model: LayerModel,
  { from, to, signal }: { from: Original; to: FileHandle; signal?: AbortSignal | undefined },
): Promise<Places> => {
  const writer = new NormalWriter(model, from, new Output(to));
  await writer.writeFolder(0, '');
  for (const id of model.nodes.walk()) {
    signal?.throwIfAborted();
    await writer.writeNode(id);
  }
  await writer.end();
  return writer.places;
};

/** The contents that {@link writeNormalTar} kept, in the order of the original. */
export async function* keptExtents(model: LayerModel, from: Original, places: Places): AsyncGenerator<Extent> {
  // Node numbers are in the order of the entries.
  for (const [id, place] of places.entries()) {
    if (place > 0) {
      const entry = await from.entries.read(model.nodes.header(id) * BLOCK);
      const { pieces, start } = await piecesOf(entry, from.file);
      let source = start;
      for (const { offset, length } of pieces) {
        yield { original: source, normal: place * BLOCK + offset, length };
        source += length;
      }
    }
  }
}

class NormalWriter {
  readonly places: Places;
  /** For each node with content, the first name written with it, or 0. */
  readonly #writtenAs: Uint32Array;
  readonly #model: LayerModel;
  readonly #from: Original;
  readonly #out: Output;
  #folder: { id: NodeId; path: ByteString } = { id: 0, path: '' };

  constructor(model: LayerModel, from: Original, out: Output) {
    this.#model = model;
    this.#from = from;
    this.#out = out;
    this.places = new Uint32Array(model.nodes.size);
    this.#writtenAs = new Uint32Array(model.nodes.size);
  }

  async writeNode(id: NodeId): Promise<void> {
    const { nodes } = this.#model;
    const kind = nodes.kind(id);
    if (kind === 'whiteout') {
      // Was written with its folder.
      return;
    }
    const path = this.#path(id);
    if (kind === 'dir') {
      await this.writeFolder(id, path);
    } else if (kind === 'file') {
      await this.#writeFile(id, path);
    } else {
      await this.#out.write(encodeHeader(path, await this.#entry(id), 0));
    }
  }

  /** Writes a folder and its whiteouts. */
  async writeFolder(id: NodeId, path: ByteString): Promise<void> {
    const { nodes } = this.#model;
    await this.#out.write(encodeHeader(path, nodes.has(id, FLAG.implied) ? IMPLIED : await this.#entry(id), 0));
    const below = path === '' ? '' : `${path}/`;
    if (nodes.has(id, FLAG.opaque) && id !== 0) {
      await this.#out.write(encodeHeader(`${below}.wh..wh..opq`, MARK, 0));
    }
    for (let child = nodes.firstChild(id); child !== 0; child = nodes.nextSibling(child)) {
      if (nodes.kind(child) === 'whiteout') {
        await this.#out.write(encodeHeader(below + nodes.name(child), MARK, 0));
      }
    }
  }

  async end(): Promise<void> {
    await this.#out.write(END_MARK);
    await this.#out.flush();
  }

  async #writeFile(id: NodeId, path: ByteString): Promise<void> {
    const { nodes } = this.#model;
    const owner = nodes.link(id) || id;
    const entry = await this.#entry(id);
    const writtenAs = this.#writtenAs[owner] ?? 0;
    if (writtenAs !== 0) {
      const link = nodes.parts(writtenAs).join('/');
      await this.#out.write(encodeHeader(path, { ...entry, type: 'hardlink', link, xattrs: [] }, 0));
      return;
    }
    this.#writtenAs[owner] = id;
    await this.#out.write(encodeHeader(path, entry, entry.size));
    this.places[owner] = entry.size === 0 ? 0 : this.#out.position / BLOCK;
    const { pieces, start } = await piecesOf(entry, this.#from.file);
    let source = start;
    let at = 0;
    for (const { offset, length } of pieces) {
      await this.#out.zeros(offset - at);
      await this.#out.copy(this.#from.contents, source, length);
      source += length;
      at = offset + length;
    }
    await this.#out.zeros(entry.size - at + padding(entry.size));
  }

  async #entry(id: NodeId): Promise<TarEntry> {
    const entry = await this.#from.entries.read(this.#model.nodes.header(id) * BLOCK);
    return entry.type === 'symlink' || entry.link === '' ? entry : { ...entry, link: '' };
  }

  /** Nodes come folder by folder, so the folder's path is remembered. */
  #path(id: NodeId): ByteString {
    const { nodes } = this.#model;
    const parent = nodes.parent(id);
    if (parent !== this.#folder.id) {
      this.#folder = { id: parent, path: nodes.parts(parent).join('/') };
    }
    const { path } = this.#folder;
    return path === '' ? nodes.name(id) : `${path}/${nodes.name(id)}`;
  }
}

const piecesOf = async (
  { sparse, data, stored, size }: TarEntry,
  from: FileHandle,
): Promise<{ pieces: readonly SparsePiece[]; start: number }> => {
  if (sparse === undefined) {
    return { pieces: size === 0 ? [] : [{ offset: 0, length: size }], start: data };
  }
  const inline = sparse === 'in-data' ? await readInlineMap(from, data, stored) : { pieces: sparse, mapBytes: 0 };
  // GNU tar ends a map with an empty piece at the file's size.
  const pieces = inline.pieces.filter(({ length }) => length > 0);
  checkPieces(pieces, size, stored - inline.mapBytes);
  return { pieces, start: data + inline.mapBytes };
};

const ZEROS = Buffer.alloc(64 * 1024);

/** Buffers small writes. */
class Output {
  position = 0;
  #buffer = Buffer.alloc(CHUNK);
  #used = 0;

  constructor(private readonly file: FileHandle) {}

  async write(data: Buffer): Promise<void> {
    for (let at = 0; at < data.length; ) {
      if (this.#used === CHUNK) {
        await this.flush();
      }
      const count = data.copy(this.#buffer, this.#used, at);
      this.#used += count;
      this.position += count;
      at += count;
    }
  }

  async zeros(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const piece = Math.min(left, ZEROS.length);
      await this.write(ZEROS.subarray(0, piece));
      left -= piece;
    }
  }

  async copy(from: ReadAhead, start: number, length: number): Promise<void> {
    for (let done = 0; done < length; ) {
      const piece = from.peek(start + done, length - done) ?? (await from.load(start + done, length - done));
      await this.write(piece);
      done += piece.length;
    }
  }

  async flush(): Promise<void> {
    for (let at = 0; at < this.#used; ) {
      at += (await this.file.write(this.#buffer, at, this.#used - at)).bytesWritten;
    }
    this.#used = 0;
  }
}
