import type { FileHandle } from 'node:fs/promises';
import type { Content, LayerModel, LayerNode } from './layer-model.ts';
import { ReadAhead } from './pieces.ts';
import type { Extent } from './recipe.ts';
import { checkPieces, readInlineMap, type SparsePiece } from './sparse.ts';
import { type Attributes, BLOCK, type ByteString, END_MARK, encodeHeader, padding } from './tar-format.ts';

const CHUNK = 1024 * 1024;
const MARK: Attributes = { type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: '0', link: '', devMajor: 0, devMinor: 0, xattrs: [] };

/**
 * Writes the normal form of a layer: `./` first, every folder before what is in it, each name once, one
 * content per file and links to it after. Gives where contents of `from` ended up, in order of writing.
 */
export const writeNormalTar = async (model: LayerModel, from: FileHandle, to: FileHandle, signal?: AbortSignal): Promise<Extent[]> => {
  const out = new Output(to);
  const input = new ReadAhead(from, (at) => new Error(`the spooled layer ended at ${at} (block ${Math.floor(at / BLOCK)})`));
  const extents: Extent[] = [];
  const whiteouts = groupByFolder(model.whiteouts);
  const todo: Array<{ node: LayerNode; path: ByteString }> = [{ node: model.root, path: '' }];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const { node, path } = next;
    signal?.throwIfAborted();
    await writeNode(node, path, { out, from, input, extents });
    const below = path === '' ? '' : `${path}/`;
    if (node.opaque && node !== model.root) {
      await out.write(encodeHeader(`${below}.wh..wh..opq`, MARK, 0));
    }
    for (const name of whiteouts.get(path) ?? []) {
      await out.write(encodeHeader(`${below}.wh.${name}`, MARK, 0));
    }
    for (const child of [...(node.children?.values() ?? [])].reverse()) {
      todo.push({ node: child, path: below + child.name });
    }
  }
  await out.write(END_MARK);
  await out.flush();
  return extents;
};

interface Target {
  readonly out: Output;
  readonly from: FileHandle;
  readonly input: ReadAhead;
  readonly extents: Extent[];
}

const writeNode = async (node: LayerNode, path: ByteString, { out, from, input, extents }: Target): Promise<void> => {
  const { attributes, content } = node;
  if (content === undefined) {
    await out.write(encodeHeader(path, attributes, 0));
    return;
  }
  if (content.writtenAs !== undefined) {
    await out.write(encodeHeader(path, { ...attributes, type: 'hardlink', link: content.writtenAs, xattrs: [] }, 0));
    return;
  }
  if (content.linked) {
    content.writtenAs = path;
  }
  await out.write(encodeHeader(path, attributes, content.size));
  const { pieces, start } = await piecesOf(content, from);
  let source = start;
  let at = 0;
  for (const { offset, length } of pieces) {
    await out.zeros(offset - at);
    extents.push({ original: source, normal: out.position, length });
    await out.copy(input, source, length);
    source += length;
    at = offset + length;
  }
  await out.zeros(content.size - at + padding(content.size));
};

const piecesOf = async (content: Content, from: FileHandle): Promise<{ pieces: readonly SparsePiece[]; start: number }> => {
  const { sparse, data, stored, size } = content;
  if (sparse === undefined) {
    return { pieces: size === 0 ? [] : [{ offset: 0, length: size }], start: data };
  }
  const inline = sparse === 'in-data' ? await readInlineMap(from, data, stored) : { pieces: sparse, mapBytes: 0 };
  // GNU tar ends a map with an empty piece at the file's size.
  const pieces = inline.pieces.filter(({ length }) => length > 0);
  checkPieces(pieces, size, stored - inline.mapBytes);
  return { pieces, start: data + inline.mapBytes };
};

const groupByFolder = (paths: Iterable<ByteString>): Map<ByteString, ByteString[]> => {
  const groups = new Map<ByteString, ByteString[]>();
  for (const path of paths) {
    const slash = path.lastIndexOf('/');
    const folder = slash < 0 ? '' : path.slice(0, slash);
    groups.set(folder, [...(groups.get(folder) ?? []), path.slice(slash + 1)]);
  }
  return groups;
};

const ZEROS = Buffer.alloc(64 * 1024);

/** Gathers small writes. */
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
