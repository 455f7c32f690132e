import { BLOCK, type ByteString } from '../../base/tar/block.ts';
import type { EntryType } from '../../base/tar/header.ts';
import type { EntryReader } from './entry-reader.ts';
import { layerError } from './layer-format.ts';
import { checkName, isStep, type LayerLimits, LimitChecker } from './layer-limits.ts';
import { FLAG, type NodeId, type NodeKind, NodeTable } from './node-table.ts';
import type { TarEntry } from './tar-scanner.ts';
import type { TextStore } from './text-store.ts';
import { OPAQUE, WHITEOUT } from './whiteouts.ts';

const MAX_LINKS = 40;
/** Limit on the total length of the paths of implied folders, which are stored in the layer's record. */
const MAX_IMPLIED = 16 * 1024 ** 2;
const KINDS: Readonly<Record<Exclude<EntryType, 'hardlink'>, NodeKind>> = {
  dir: 'dir',
  file: 'file',
  symlink: 'symlink',
  char: 'other',
  block: 'other',
  fifo: 'other',
};

/**
 * The tree that a layer's entries amount to when unpacked in order: the last entry of a name wins, paths follow the
 * layer's symlinks, missing folders are created, `..` stops at the root. Of an entry only its offset in the archive is
 * kept, so that attributes take no memory however many files there are. Throws IMAGE_LAYER.
 */
export class LayerModel {
  /** A file's `link` is the node that has its content, if that is another one; a symlink's `link` is its target in `texts`. */
  readonly nodes: NodeTable;
  /** False once mkfs.erofs, reading the archive entry by entry, would produce another tree. */
  plain = true;
  /** Whether the archive has an entry for its root. */
  hasRoot = false;
  readonly #limits: LimitChecker;
  readonly #texts: TextStore;
  /** Nodes of hard links that precede their target. */
  readonly #laterLinks: NodeId[] = [];
  /** The folder of the last entry, by the path it was given; the next entry is usually in the same folder. */
  #recent: { path: ByteString; folder: NodeId } = { path: '', folder: ROOT };

  constructor(limits: LayerLimits, texts: TextStore) {
    this.#limits = new LimitChecker(limits);
    this.#texts = texts;
    this.nodes = new NodeTable(texts);
    this.nodes.setFlag(ROOT, FLAG.implied);
  }

  add(entry: TarEntry): void {
    this.#limits.countEntry(entry);
    const parts = this.#limits.split(entry.path);
    const clean = parts.join('/');
    this.plain &&= entry.plain && (withoutDot(entry.path) === clean || (parts.length === 0 && withoutDot(entry.path) === '.'));
    if (clean.includes(WHITEOUT) && parts.some((part) => part.startsWith('.wh..wh.') && part !== OPAQUE)) {
      // Metadata of aufs itself, which is not part of the image (image-spec layer.md).
      this.plain = false;
      return;
    }
    const name = parts.pop();
    if (name === undefined) {
      this.#setRoot(entry);
    } else if (clean.includes(WHITEOUT) && parts.some((part) => part.startsWith(WHITEOUT))) {
      throw layerError(`${entry.path} lies below a whiteout`);
    } else if (name.startsWith(WHITEOUT)) {
      // Whatever else it is called in the archive (a link, a device), only its name counts; it is written as an empty file.
      this.plain &&= entry.type === 'file' && entry.size === 0;
      this.#addWhiteout(this.#folder(parts), name);
    } else {
      this.#place(this.#folder(parts), name, entry);
    }
  }

  /** To be called after the last entry: resolves hard links that precede their target, and whiteouts next to a file of that name. */
  async finish(entries: EntryReader): Promise<void> {
    for (const id of this.#laterLinks) {
      const entry = await entries.read(this.nodes.header(id) * BLOCK);
      const parts = this.nodes.parts(id);
      const name = parts.pop() ?? '';
      if (!this.#link(this.#folder(parts), name, entry)) {
        throw layerError(`${entry.path} is a hard link to ${entry.link}, which the layer does not have`);
      }
    }
    for (let id = ROOT + 1; id < this.nodes.size; id++) {
      if (this.nodes.kind(id) === 'whiteout' && !this.nodes.has(id, FLAG.gone)) {
        this.#settleWhiteout(id);
      }
    }
  }

  /** Paths of the implied folders, without the root. */
  implied(): ByteString[] {
    const found: ByteString[] = [];
    let bytes = 0;
    for (const id of this.nodes.walk()) {
      if (this.nodes.has(id, FLAG.implied)) {
        const path = this.nodes.parts(id).join('/');
        found.push(path);
        bytes += path.length;
        if (bytes > MAX_IMPLIED) {
          throw layerError(`it has no entries for ${found.length} of its folders`);
        }
      }
    }
    return found;
  }

  #setRoot(entry: TarEntry): void {
    if (entry.type !== 'dir') {
      throw layerError('its root is not a folder');
    }
    this.plain &&= !this.hasRoot;
    this.hasRoot = true;
    this.#describe(ROOT, entry);
  }

  /** Gives a node the attributes of an entry. */
  #describe(id: NodeId, entry: TarEntry): void {
    this.nodes.setHeader(id, entry.start / BLOCK);
    this.nodes.setFlag(id, FLAG.implied, false);
  }

  #addWhiteout(folder: NodeId, name: ByteString): void {
    const hidden = name.slice(WHITEOUT.length);
    if (name === OPAQUE) {
      this.nodes.setFlag(folder, FLAG.opaque);
      // mkfs.erofs fails on an opaque root; normaliseLayer reports it separately instead.
      this.plain &&= folder !== ROOT;
    } else if (hidden === '' || hidden === '.' || hidden === '..') {
      throw layerError(`it has the whiteout ${JSON.stringify(name)}`);
    } else if (this.nodes.find(folder, name) === 0) {
      this.nodes.attach(this.nodes.create({ parent: folder, name, kind: 'whiteout' }));
    }
  }

  /** A whiteout applies to lower layers only; a file of the same name replaces it, and a folder of that name becomes opaque. */
  #settleWhiteout(id: NodeId): void {
    const beside = this.nodes.find(this.nodes.parent(id), this.nodes.name(id).slice(WHITEOUT.length));
    if (beside !== 0) {
      this.nodes.detach(id);
      this.plain = false;
      if (this.nodes.kind(beside) === 'dir') {
        this.nodes.setFlag(beside, FLAG.opaque);
      }
    }
  }

  #place(folder: NodeId, name: ByteString, entry: TarEntry): void {
    const before = this.nodes.find(folder, name);
    this.plain &&= before === 0;
    if (entry.type === 'hardlink') {
      if (!this.#link(folder, name, entry)) {
        this.plain = false;
        // It takes a second node once its target is known.
        this.#limits.countNode();
        const id = this.nodes.create({ parent: folder, name, kind: 'other' });
        this.nodes.setHeader(id, entry.start / BLOCK);
        this.#laterLinks.push(id);
      }
      return;
    }
    if (entry.type === 'dir' && before !== 0 && this.nodes.kind(before) === 'dir') {
      this.#describe(before, entry);
      return;
    }
    const id = this.#replace(folder, name, KINDS[entry.type]);
    this.#describe(id, entry);
    if (entry.type === 'symlink') {
      this.#limits.checkPath(entry.link);
      this.nodes.setLink(id, this.#texts.add(entry.link));
    }
  }

  /** Makes `name` another name of the link's target, if the target exists already. */
  #link(folder: NodeId, name: ByteString, entry: TarEntry): boolean {
    const target = this.#limits.split(entry.link);
    const last = target.pop() ?? '';
    const source = this.#lookUp(target, last);
    if (source === 0) {
      return false;
    }
    const kind = this.nodes.kind(source);
    if (kind === 'dir') {
      throw layerError(`${entry.path} is a hard link to the folder ${entry.link}`);
    }
    this.plain &&= entry.link.replace(/^(\.?\/)/, '') === [...target, last].join('/') && kind === 'file';
    if (this.nodes.find(folder, name) !== source) {
      const link = this.nodes.link(source);
      const id = this.#replace(folder, name, kind);
      this.nodes.setHeader(id, this.nodes.header(source));
      this.nodes.setLink(id, kind === 'file' && link === 0 ? source : link);
    }
    return true;
  }

  /** A new node that replaces any node of that name and becomes the last in its folder. */
  #replace(folder: NodeId, name: ByteString, kind: NodeKind): NodeId {
    const before = this.nodes.find(folder, name);
    if (before !== 0) {
      this.nodes.detach(before);
      this.#recent = { path: '', folder: ROOT };
    }
    const id = this.nodes.create({ parent: folder, name, kind });
    this.nodes.attach(id);
    return id;
  }

  /** The node of a path, or 0. 0 is also the root, which is a folder and never a link target. */
  #lookUp(parents: readonly ByteString[], name: ByteString): NodeId {
    const folder = this.#walk(parents, false);
    return folder === undefined || name.startsWith(WHITEOUT) ? 0 : this.nodes.find(folder, name);
  }

  #folder(parts: readonly ByteString[]): NodeId {
    const path = parts.join('/');
    if (path === this.#recent.path) {
      return this.#recent.folder;
    }
    const folder = this.#walk(parts, true);
    if (folder === undefined) {
      throw layerError(`${path} is not a folder`);
    }
    this.#recent = { path, folder };
    return folder;
  }

  /** Walks down to a folder, following the layer's symlinks; creates missing folders if `make`. */
  #walk(parts: readonly ByteString[], make: boolean): NodeId | undefined {
    const rest = [...parts].reverse();
    let folder = ROOT;
    for (let links = 0, part = rest.pop(); part !== undefined; part = rest.pop()) {
      if (part === '..') {
        folder = this.nodes.parent(folder);
        continue;
      }
      const next = this.nodes.find(folder, part);
      const kind = next === 0 ? undefined : this.nodes.kind(next);
      if (kind === 'symlink') {
        this.plain = false;
        links += 1;
        if (links > MAX_LINKS) {
          throw layerError(`${parts.join('/')} goes through too many symlinks`);
        }
        const target = this.#texts.get(this.nodes.link(next));
        folder = target.startsWith('/') ? ROOT : folder;
        rest.push(...target.split('/').filter(isStep).reverse());
      } else if (next === 0 && make) {
        folder = this.#imply(folder, part);
      } else if (kind !== 'dir') {
        return undefined;
      } else {
        folder = next;
      }
    }
    return folder;
  }

  #imply(folder: NodeId, name: ByteString): NodeId {
    this.plain = false;
    this.#limits.countNode();
    checkName(name);
    const id = this.#replace(folder, name, 'dir');
    this.nodes.setFlag(id, FLAG.implied);
    return id;
  }
}

const ROOT: NodeId = 0;

/** A path without the forms `./a` and `a/` that archives may use. */
const withoutDot = (path: ByteString): ByteString => {
  const from = path.startsWith('./') ? 2 : 0;
  return path.slice(from, path.endsWith('/') && path.length > from ? -1 : undefined);
};
