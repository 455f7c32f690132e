import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { BLOCK, tarError } from '../../../base/tar/block.ts';
import { PLAIN_FILE, type TarHeader } from '../../../base/tar/header.ts';
import { FileSource, readTar } from '../../../base/tar/reader.ts';
import { readSmallFile, SMALL_FILE } from '../../context/read-small.ts';
import { cleanPath, compareBytes, type FileTree, type TreeEntry } from '../../context/tree.ts';
import { OPAQUE, WHITEOUT } from '../../layers/whiteouts.ts';

/** Where a file's bytes lie. */
interface Content {
  readonly archive: string;
  readonly offset: number;
}

interface Node {
  readonly header: TarHeader;
  readonly identity: object;
  readonly content: Content | undefined;
  readonly children: Map<string, Node> | undefined;
}

interface IndexedItem {
  readonly path: string;
  readonly header: TarHeader;
  readonly offset: number;
}

export interface LayerIndex {
  readonly archive: string;
  readonly items: readonly IndexedItem[];
}

const MAX_ITEMS = 5_000_000;
const CHUNK = 1024 * 1024;
const OPAQUE_XATTR = 'trusted.overlay.opaque';
/** 1980-01-02T00:00:00Z: always the same, and in every time zone late enough for zip, whose times begin in 1980. */
export const NEUTRAL_TIME = 315_619_200;
/** A folder that no archive has an entry of. */
const EMPTY_DIR: TarHeader = { ...PLAIN_FILE, name: '', type: 'dir', mode: 0o755, mtime: NEUTRAL_TIME };

/** Reads the headers of an uncompressed tar on disk; contents are skipped. Throws IMAGE_LAYER. */
export const indexTar = async (archive: string): Promise<LayerIndex> => {
  const file = await open(archive, 'r');
  try {
    const { size } = await file.stat();
    const items: IndexedItem[] = [];
    for await (const { header, offset } of readTar(new FileSource(file, size - (size % BLOCK)))) {
      if (items.length >= MAX_ITEMS) {
        throw tarError(`it holds more than ${MAX_ITEMS} entries`);
      }
      if (header.type !== 'other') {
        items.push({ path: cleanPath(header.name), header, offset });
      }
    }
    return { archive, items };
  } finally {
    await file.close();
  }
};

/**
 * What a stack of layer tars looks like when mounted: whiteouts applied (`.wh.` names and overlayfs's
 * 0:0 devices), hard links resolved, nothing unpacked. Immutable; content is read out of the tars.
 */
export class LayerTree implements FileTree {
  readonly #root: Node;

  private constructor(root: Node) {
    this.#root = root;
  }

  static readonly empty = new LayerTree({ header: EMPTY_DIR, identity: {}, content: undefined, children: new Map() });

  /** This tree with one more layer on top. `whiteouts: false` for archives that are no layers. */
  withLayer(index: LayerIndex, options: { whiteouts: boolean } = { whiteouts: true }): LayerTree {
    const builder = new TreeBuilder(this.#root, index.archive, options.whiteouts);
    for (const item of index.items) {
      builder.apply(item);
    }
    return new LayerTree(builder.root);
  }

  get(path: string): TreeEntry | undefined {
    const node = this.#find(path);
    return node === undefined ? undefined : toEntry(path, node);
  }

  list(path: string): readonly string[] {
    return [...(this.#find(path)?.children?.keys() ?? [])].sort(compareBytes);
  }

  async *read(entry: TreeEntry): AsyncIterable<Uint8Array> {
    const content = this.#find(entry.path)?.content;
    if (content === undefined || entry.size === 0) {
      return;
    }
    const file = await open(content.archive, 'r');
    try {
      for (let done = 0; done < entry.size; ) {
        const length = Math.min(CHUNK, entry.size - done);
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, content.offset + done);
        if (bytesRead === 0) {
          throw tarError(`it ends within ${entry.path}`);
        }
        done += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  readSmall(entry: TreeEntry, into: Buffer): Buffer {
    const content = this.#find(entry.path)?.content;
    const target = into.subarray(0, content === undefined ? 0 : entry.size);
    const read = { flags: constants.O_RDONLY, position: content?.offset ?? 0 };
    if (content !== undefined && readSmallFile(content.archive, target, read) < target.length) {
      throw tarError(`it ends within ${entry.path}`);
    }
    return target;
  }

  async digest(entry: TreeEntry): Promise<string> {
    const hash = createHash('sha256');
    if (entry.size <= SMALL_FILE) {
      return hash.update(this.readSmall(entry, Buffer.allocUnsafe(entry.size))).digest('hex');
    }
    for await (const chunk of this.read(entry)) {
      hash.update(chunk);
    }
    return hash.digest('hex');
  }

  /** A small file's text, symlinks not followed; undefined when it is not a file or larger than 4 MiB. */
  async readText(path: string): Promise<string | undefined> {
    const entry = this.get(path);
    if (entry?.type !== 'file' || entry.size > 4 * CHUNK) {
      return undefined;
    }
    const parts: Uint8Array[] = [];
    for await (const chunk of this.read(entry)) {
      parts.push(chunk);
    }
    return Buffer.concat(parts).toString('utf8');
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path === '' ? [] : path.split('/')) {
      node = node?.children?.get(name);
    }
    return node;
  }
}

const toEntry = (path: string, { header, identity }: Node): TreeEntry => {
  const { type, mode, uid, gid, size, mtime, link, deviceMajor, deviceMinor, xattrs } = header;
  return {
    path,
    type: type === 'hardlink' || type === 'other' ? 'file' : type,
    mode,
    uid,
    gid,
    size,
    mtime,
    link,
    deviceMajor,
    deviceMinor,
    xattrs,
    identity,
    ...(header === EMPTY_DIR ? { isImplied: true } : {}),
  };
};

/** Applies one layer; folders of the tree below are copied only where something changes. */
class TreeBuilder {
  root: Node;
  readonly #archive: string;
  readonly #whiteouts: boolean;
  /** Folders that are this builder's own, so may be changed in place. */
  readonly #own = new Set<Node>();
  /** What this layer itself put into a folder: a whiteout hides only what was below. */
  readonly #added = new Map<string, Set<string>>();

  constructor(root: Node, archive: string, whiteouts: boolean) {
    this.#archive = archive;
    this.#whiteouts = whiteouts;
    this.root = this.#copyDir(root);
  }

  apply({ path, header, offset }: IndexedItem): void {
    if (path === '') {
      this.root = this.#copyDir({ ...this.root, header: header.type === 'dir' ? header : this.root.header });
      return;
    }
    const at = path.lastIndexOf('/');
    const parent = at < 0 ? '' : path.slice(0, at);
    const name = path.slice(at + 1);
    if (this.#whiteouts && this.#applyWhiteout({ parent, name, header })) {
      return;
    }
    const node = this.#makeNode(header, offset, this.#folder(parent).get(name));
    if (node === undefined) {
      throw tarError(`the hard link ${path} points to ${header.link}, which is not there`);
    }
    this.#folder(parent).set(name, node);
    this.#remember(parent, name);
    if (this.#whiteouts && header.xattrs.get(OPAQUE_XATTR)?.toString() === 'y') {
      this.#clear(path);
    }
  }

  #applyWhiteout(item: { parent: string; name: string; header: TarHeader }): boolean {
    const { parent, name, header } = item;
    const isDevice = header.type === 'char' && header.deviceMajor === 0 && header.deviceMinor === 0;
    if (!name.startsWith(WHITEOUT) && !isDevice) {
      return false;
    }
    if (name === OPAQUE) {
      this.#clear(parent);
    } else if (!name.startsWith('.wh..wh.')) {
      const hidden = isDevice ? name : name.slice(WHITEOUT.length);
      if (isDevice || !this.#added.get(parent)?.has(hidden)) {
        this.#folder(parent).delete(hidden);
      }
    }
    return true;
  }

  /** Removes from a folder what this layer did not put there. */
  #clear(path: string): void {
    const folder = this.#folder(path);
    const added = this.#added.get(path);
    for (const name of [...folder.keys()]) {
      if (!added?.has(name)) {
        folder.delete(name);
      }
    }
  }

  #remember(parent: string, name: string): void {
    const names = this.#added.get(parent) ?? new Set();
    this.#added.set(parent, names.add(name));
  }

  #makeNode(header: TarHeader, offset: number, below: Node | undefined): Node | undefined {
    if (header.type === 'dir') {
      return this.#claim({ header, identity: {}, content: undefined, children: new Map(below?.children ?? []) });
    }
    if (header.type === 'hardlink') {
      const target = this.#find(cleanPath(header.link));
      return target?.children ? undefined : target;
    }
    const content = header.type === 'file' ? { archive: this.#archive, offset } : undefined;
    return { header, identity: {}, content, children: undefined };
  }

  #claim(node: Node): Node {
    this.#own.add(node);
    return node;
  }

  #copyDir(node: Node): Node {
    return this.#claim({ ...node, children: new Map(node.children ?? []) });
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.root;
    for (const name of path.split('/')) {
      node = node?.children?.get(name);
    }
    return node;
  }

  /** The children of a folder, ready to be changed; missing parents appear as 0755 root, files in the way go. */
  #folder(path: string): Map<string, Node> {
    let node = this.root;
    for (const name of path === '' ? [] : path.split('/')) {
      const children = node.children ?? new Map<string, Node>();
      const child = children.get(name);
      const base = child?.children ? child : { header: EMPTY_DIR, identity: {}, content: undefined, children: new Map() };
      const own = this.#own.has(base) ? base : this.#copyDir(base);
      if (own !== child) {
        children.set(name, own);
      }
      node = own;
    }
    return node.children ?? new Map();
  }
}
