import type { FileTree, TreeEntry } from '../context/tree.ts';
import { BLOCK, encodeHeader, padding, type TarHeader } from './tar-format.ts';

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

/** The items as a tar stream, in the order given, with its end mark. */
export async function* writeLayer(items: Iterable<LayerItem>): AsyncGenerator<Uint8Array> {
  for (const item of items) {
    yield encodeHeader(toHeader(item));
    const size = item.hardlink === undefined && item.attributes.type === 'file' ? item.attributes.size : 0;
    if (size > 0 && item.content !== undefined) {
      if ('bytes' in item.content) {
        yield item.content.bytes;
      } else {
        yield* item.content.tree.read(item.content.entry);
      }
      if (padding(size) > 0) {
        yield Buffer.alloc(padding(size));
      }
    }
  }
  yield Buffer.alloc(2 * BLOCK);
}

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
