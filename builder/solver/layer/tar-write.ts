import { HyprError } from '../../../base/errors.ts';
import { BLOCK, padding } from '../../../base/tar/block.ts';
import { encodeHeader, type TarHeader } from '../../../base/tar/header.ts';
import { SMALL_FILE } from '../../context/read-small.ts';
import type { FileTree, TreeEntry } from '../../context/tree.ts';
import { Blocks } from '../../layers/pieces.ts';

/** One entry of a layer to be written. */
export interface LayerItem {
  /** Clean, relative path in the layer. */
  readonly path: string;
  readonly attributes: Pick<
    TreeEntry,
    'type' | 'mode' | 'uid' | 'gid' | 'size' | 'mtime' | 'link' | 'deviceMajor' | 'deviceMinor' | 'xattrs'
  >;
  /** Path of an earlier item whose file this is too. */
  readonly hardlink?: string;
  /** Where a file's bytes are. */
  readonly content?: { readonly tree: FileTree; readonly entry: TreeEntry } | { readonly bytes: Uint8Array };
}

const ZEROS = Buffer.alloc(2 * BLOCK);

/**
 * The items as a tar stream in large pieces, in the order given, with its end mark. Throws BUILD_FAILED when a content is not as
 * long as its header says: what is too much would be read as further entries.
 */
export async function* writeLayer(items: Iterable<LayerItem>): AsyncGenerator<Uint8Array> {
  const out = new Blocks();
  const small = Buffer.allocUnsafe(SMALL_FILE);
  for (const item of items) {
    const header = toHeader(item);
    out.push(encodeHeader(header));
    if (header.size > 0 && item.content !== undefined) {
      const content = openContent(item.content, small);
      let left = header.size;
      if (content instanceof Uint8Array) {
        left -= requireAtMost(content.length, left, item.path);
        out.push(content);
      } else {
        for await (const piece of content) {
          left -= requireAtMost(piece.length, left, item.path);
          out.push(piece);
          yield* out.takeFull();
        }
      }
      requireAtMost(left, 0, item.path);
      out.push(ZEROS.subarray(0, padding(header.size)));
    }
    if (out.hasFull) {
      yield* out.takeFull();
    }
  }
  out.push(ZEROS);
  yield* out.takeAll();
}

/** A file's bytes if they are available at once, else a stream. */
const openContent = (content: NonNullable<LayerItem['content']>, small: Buffer): Uint8Array | AsyncIterable<Uint8Array> => {
  if ('bytes' in content) {
    return content.bytes;
  }
  const { tree, entry } = content;
  return entry.size <= small.length && tree.readSmall !== undefined ? tree.readSmall(entry, small) : tree.read(entry);
};

const requireAtMost = (length: number, most: number, path: string): number => {
  if (length > most) {
    throw new HyprError('BUILD_FAILED', `/${path} is not as long as it was when the step began`, { hint: 'build again' });
  }
  return length;
};

const toHeader = ({ path, attributes, hardlink }: LayerItem): TarHeader => ({
  name: attributes.type === 'dir' ? `${path === '' ? '.' : path}/` : path,
  type: hardlink === undefined ? attributes.type : 'hardlink',
  mode: attributes.mode,
  uid: attributes.uid,
  gid: attributes.gid,
  size: hardlink === undefined && attributes.type === 'file' ? attributes.size : 0,
  mtime: attributes.mtime,
  link: hardlink ?? attributes.link,
  deviceMajor: attributes.deviceMajor,
  deviceMinor: attributes.deviceMinor,
  xattrs: attributes.xattrs,
});
