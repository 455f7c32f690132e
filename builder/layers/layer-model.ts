import { type Attributes, type ByteString, layerError } from './tar-format.ts';
import type { TarEntry } from './tar-scanner.ts';

export interface LayerLimits {
  readonly entries: number;
  /** Bytes of a path. */
  readonly path: number;
  /** Folders inside each other. */
  readonly depth: number;
  /** Bytes of all files, sparse ones expanded. */
  readonly bytes: number;
  /** Bytes of all extended attributes. */
  readonly xattrs: number;
}

/** A file's content, shared by its hard links. */
export interface Content {
  readonly size: number;
  readonly data: number;
  readonly stored: number;
  readonly sparse: TarEntry['sparse'];
  /** Several names have it. */
  linked: boolean;
  /** If it is linked: the first path written with it; the others become links to that. */
  writtenAs: ByteString | undefined;
}

export interface LayerNode {
  readonly name: ByteString;
  attributes: Attributes;
  content: Content | undefined;
  /** In order of appearance; undefined for what is no folder. */
  children: Map<ByteString, LayerNode> | undefined;
  opaque: boolean;
  /** Only made because something lies in it: its attributes are those it has in lower layers. */
  implied: boolean;
}

const IMPLIED: Attributes = { type: 'dir', mode: 0o755, uid: 0, gid: 0, mtime: '0', link: '', devMajor: 0, devMinor: 0, xattrs: [] };
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const MAX_NAME = 255;
const MAX_LINKS = 40;

/**
 * What a layer's entries amount to when unpacked in order: the last of a name wins, paths go through
 * the symlinks of the layer, missing folders are made, `..` stops at the root. Throws IMAGE_LAYER.
 */
export class LayerModel {
  readonly root: LayerNode = { name: '', attributes: IMPLIED, content: undefined, children: new Map(), opaque: false, implied: true };
  /** Paths without their `.wh.` that lower layers lose. */
  readonly whiteouts = new Set<ByteString>();
  /** False once the archive, read entry by entry by mkfs.erofs, would give something else. */
  plain = true;
  /** Whether the archive has an entry for its root. */
  hasRoot = false;
  #count = 0;
  #bytes = 0;
  #xattrs = 0;
  #lastAttributes = IMPLIED;
  #laterLinks: Array<{ path: ByteString[]; entry: TarEntry }> = [];

  constructor(private readonly limits: LayerLimits) {}

  add(entry: TarEntry): void {
    this.#countIn(entry);
    const parts = this.#split(entry.path);
    const stored = entry.path.replace(/^\.\//, '').replace(/\/$/, '');
    this.plain &&= entry.plain && (stored === parts.join('/') || (parts.length === 0 && stored === '.'));
    if (parts.some((part) => part.startsWith('.wh..wh.') && part !== OPAQUE)) {
      // Bookkeeping of aufs itself, no part of the image (image-spec layer.md).
      this.plain = false;
      return;
    }
    const name = parts.at(-1);
    if (name === undefined) {
      this.#setRoot(entry);
    } else if (parts.slice(0, -1).some((part) => part.startsWith(WHITEOUT))) {
      throw layerError(`${entry.path} lies below a whiteout`);
    } else if (name.startsWith(WHITEOUT)) {
      this.#addWhiteout(parts.slice(0, -1), name);
    } else {
      this.#place(parts, entry);
    }
  }

  /** After the last entry: hard links that came before their target, whiteouts beside a file of that name. */
  finish(): void {
    for (const { path, entry } of this.#laterLinks) {
      if (!this.#link(path, entry)) {
        throw layerError(`${entry.path} is a hard link to ${entry.link}, which the layer does not have`);
      }
    }
    for (const path of this.whiteouts) {
      const node = this.find(path.split('/'));
      if (node !== undefined) {
        // A whiteout only speaks of lower layers; the file replaces it, a folder must then hide what was below.
        this.whiteouts.delete(path);
        node.opaque ||= node.children !== undefined;
        this.plain = false;
      }
    }
  }

  /** Paths of the folders that are only implied, the root aside. */
  implied(): ByteString[] {
    const found: ByteString[] = [];
    const todo: Array<{ node: LayerNode; path: ByteString }> = [{ node: this.root, path: '' }];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      for (const child of next.node.children?.values() ?? []) {
        if (child.children !== undefined) {
          const path = next.path === '' ? child.name : `${next.path}/${child.name}`;
          todo.push({ node: child, path });
          found.push(...(child.implied ? [path] : []));
        }
      }
    }
    return found;
  }

  /** The node at a clean path, without following links. */
  find(parts: readonly ByteString[]): LayerNode | undefined {
    let node: LayerNode | undefined = this.root;
    for (const part of parts) {
      node = node?.children?.get(part);
    }
    return node;
  }

  #countIn(entry: TarEntry): void {
    this.#count += 1;
    this.#bytes += entry.size;
    for (const [key, value] of entry.xattrs) {
      this.#xattrs += key.length + value.length;
    }
    if (this.#count > this.limits.entries || this.#bytes > this.limits.bytes || this.#xattrs > this.limits.xattrs) {
      throw layerError(`it is too large (${this.#count} entries, ${this.#bytes} bytes when unpacked)`);
    }
  }

  #split(path: ByteString): ByteString[] {
    if (path.length > this.limits.path) {
      throw layerError(`a path has ${path.length} bytes`);
    }
    const parts: ByteString[] = [];
    for (const part of path.split('/')) {
      if (part === '..') {
        parts.pop();
      } else if (part !== '' && part !== '.') {
        parts.push(part);
      }
    }
    if (parts.length > this.limits.depth) {
      throw layerError(`folders are nested ${parts.length} deep`);
    }
    const bad = parts.find((part) => part.length > MAX_NAME || part.includes('\0'));
    if (bad !== undefined) {
      throw layerError(`a name has ${bad.length} bytes`);
    }
    return parts;
  }

  #setRoot(entry: TarEntry): void {
    if (entry.type !== 'dir') {
      throw layerError('its root is not a folder');
    }
    this.plain &&= !this.hasRoot;
    this.hasRoot = true;
    this.root.attributes = this.#attributes(entry);
    this.root.implied = false;
  }

  #addWhiteout(parents: ByteString[], name: ByteString): void {
    const hidden = name.slice(WHITEOUT.length);
    if (name !== OPAQUE && (hidden === '' || hidden === '.' || hidden === '..')) {
      throw layerError(`it has the whiteout ${JSON.stringify(name)}`);
    }
    const { folder, path } = this.#folder(parents);
    if (name === OPAQUE) {
      folder.opaque = true;
      // mkfs.erofs ends with an error on an opaque root; normaliseLayer tells of it instead.
      this.plain &&= folder !== this.root;
    } else {
      this.whiteouts.add([...path, hidden].join('/'));
    }
  }

  #place(parts: ByteString[], entry: TarEntry): void {
    const name = parts.at(-1) ?? '';
    const { folder, path } = this.#folder(parts.slice(0, -1));
    const full = [...path, name];
    const before = folder.children?.get(name);
    this.plain &&= before === undefined;
    if (entry.type === 'hardlink') {
      if (!this.#link(full, entry)) {
        this.plain = false;
        this.#laterLinks.push({ path: full, entry });
      }
      return;
    }
    if (entry.type === 'dir' && before?.children !== undefined) {
      before.attributes = this.#attributes(entry);
      before.implied = false;
      return;
    }
    const { size, data, stored, sparse } = entry;
    this.#put(folder, {
      name,
      attributes: this.#attributes(entry),
      content: entry.type === 'file' ? { size, data, stored, sparse, linked: false, writtenAs: undefined } : undefined,
      children: entry.type === 'dir' ? new Map() : undefined,
      opaque: false,
      implied: false,
    });
  }

  /** Makes `path` another name of the link's target, if that is there already. */
  #link(path: readonly ByteString[], entry: TarEntry): boolean {
    const target = this.#split(entry.link);
    const { folder } = this.#folder(path.slice(0, -1));
    const source = this.#lookUp(target);
    if (source === undefined) {
      return false;
    }
    if (source.children !== undefined) {
      throw layerError(`${entry.path} is a hard link to the folder ${entry.link}`);
    }
    const name = path.at(-1) ?? '';
    this.plain &&= entry.link.replace(/^(\.?\/)/, '') === target.join('/') && source.content !== undefined;
    if (folder.children?.get(name) !== source) {
      if (source.content !== undefined) {
        source.content.linked = true;
      }
      this.#put(folder, { ...source, name });
    }
    return true;
  }

  /** Replaces whatever had the name; a new name goes last. */
  #put(folder: LayerNode, node: LayerNode): void {
    folder.children?.delete(node.name);
    folder.children?.set(node.name, node);
  }

  #lookUp(parts: readonly ByteString[]): LayerNode | undefined {
    const resolved = this.#walk(parts.slice(0, -1), false);
    return resolved?.folder.children?.get(parts.at(-1) ?? '');
  }

  #folder(parts: readonly ByteString[]): { folder: LayerNode; path: ByteString[] } {
    const found = this.#walk(parts, true);
    if (found === undefined) {
      throw layerError(`${parts.join('/')} is not a folder`);
    }
    return found;
  }

  /** Goes down to a folder through the layer's symlinks; makes what is missing when `make`. */
  #walk(parts: readonly ByteString[], make: boolean): { folder: LayerNode; path: ByteString[] } | undefined {
    const rest = [...parts].reverse();
    const above: LayerNode[] = [];
    let folder = this.root;
    let path: ByteString[] = [];
    for (let links = 0, part = rest.pop(); part !== undefined; part = rest.pop()) {
      if (part === '..') {
        folder = above.pop() ?? this.root;
        path.pop();
        continue;
      }
      const next = folder.children?.get(part);
      if (next?.attributes.type === 'symlink') {
        this.plain = false;
        links += 1;
        if (links > MAX_LINKS) {
          throw layerError(`${parts.join('/')} goes through too many symlinks`);
        }
        if (next.attributes.link.startsWith('/')) {
          folder = this.root;
          path = [];
          above.length = 0;
        }
        rest.push(
          ...next.attributes.link
            .split('/')
            .filter((step) => step !== '' && step !== '.')
            .reverse(),
        );
        continue;
      }
      if (next === undefined && !make) {
        return undefined;
      }
      if (next !== undefined && next.children === undefined) {
        return undefined;
      }
      above.push(folder);
      path.push(part);
      folder = next ?? this.#imply(folder, part);
    }
    return { folder, path };
  }

  #imply(folder: LayerNode, name: ByteString): LayerNode {
    this.plain = false;
    if (name.length > MAX_NAME) {
      throw layerError(`a name has ${name.length} bytes`);
    }
    const node: LayerNode = { name, attributes: IMPLIED, content: undefined, children: new Map(), opaque: false, implied: true };
    this.#put(folder, node);
    return node;
  }

  /** Most files of a layer have those of the file before: one object then, for hundreds of thousands of them. */
  #attributes(entry: TarEntry): Attributes {
    const next = toAttributes(entry);
    if (!isSame(next, this.#lastAttributes)) {
      this.#lastAttributes = next;
    }
    return this.#lastAttributes;
  }
}

const isSame = (a: Attributes, b: Attributes): boolean =>
  a.type === b.type &&
  a.mode === b.mode &&
  a.uid === b.uid &&
  a.gid === b.gid &&
  a.mtime === b.mtime &&
  a.link === b.link &&
  a.devMajor === b.devMajor &&
  a.devMinor === b.devMinor &&
  a.xattrs.length + b.xattrs.length === 0;

const toAttributes = ({ type, mode, uid, gid, mtime, link, devMajor, devMinor, xattrs }: TarEntry): Attributes => ({
  type,
  mode,
  uid,
  gid,
  mtime,
  link: type === 'symlink' ? link : '',
  devMajor,
  devMinor,
  xattrs,
});
