import { randomInt } from 'node:crypto';
import type { ByteString } from '../../base/tar/block.ts';
import type { TextStore } from './text-store.ts';

/** A node's number; the root's is 0, which also stands for "none" wherever the root cannot be. */
export type NodeId = number;

/** A whiteout is a node of its own, under its name with the `.wh.`. */
export type NodeKind = 'dir' | 'file' | 'symlink' | 'other' | 'whiteout';
const KINDS: readonly NodeKind[] = ['dir', 'file', 'symlink', 'other', 'whiteout'];
const KIND_MASK = 0x7;

/** What else is true of a node; bits of one field with the kind. */
export const FLAG = {
  /** Hides the folder's contents in lower layers. */
  opaque: 0x8,
  /** Created only because something is in it: its attributes are those of lower layers. */
  implied: 0x10,
  /** Replaced by another node of the same name. */
  gone: 0x20,
} as const;

/** Fields of a node, each of 32 bits. */
const FIELD = {
  parent: 0,
  /** The next sibling; for the last one, the first. */
  next: 1,
  /** For a folder, its last child; for other kinds, defined by the user of the table. */
  link: 2,
  name: 3,
  hash: 4,
  /** The next node in the same hash bucket. */
  chain: 5,
  /** The 512-byte block of the archive where its entry starts. */
  header: 6,
  bits: 7,
} as const;
const FIELD_BITS = 3;
const PAGE_BITS = 13;
const PAGE_MASK = (1 << PAGE_BITS) - 1;

/**
 * A file tree in 32 bytes per node plus its name: a layer may have millions of nodes, and as many objects would take
 * gigabytes. Children keep their order and are found by name.
 */
export class NodeTable {
  readonly #texts: TextStore;
  readonly #pages: Uint32Array[] = [];
  /** A random seed, so that nobody can craft names that all fall into one bucket. */
  readonly #seed = randomInt(2 ** 32);
  #buckets = new Uint32Array(1 << PAGE_BITS);
  #size = 0;

  constructor(texts: TextStore) {
    this.#texts = texts;
    this.create({ parent: 0, name: '', kind: 'dir' });
  }

  /** The number of nodes ever created; the newest node's number is one less. */
  get size(): number {
    return this.#size;
  }

  /** Creates a node that is not in its folder yet. */
  create({ parent, name, kind }: { parent: NodeId; name: ByteString; kind: NodeKind }): NodeId {
    const id = this.#size;
    if ((id & PAGE_MASK) === 0) {
      this.#pages.push(new Uint32Array(1 << (PAGE_BITS + FIELD_BITS)));
    }
    this.#size += 1;
    this.#set(id, FIELD.parent, parent);
    this.#set(id, FIELD.name, this.#texts.add(name));
    this.#set(id, FIELD.hash, this.#hash(parent, name));
    this.#set(id, FIELD.bits, KINDS.indexOf(kind));
    return id;
  }

  /** Makes a node the last in its folder, which must not have a node of that name. */
  attach(id: NodeId): void {
    const parent = this.parent(id);
    const last = this.#get(parent, FIELD.link);
    this.#set(id, FIELD.next, last === 0 ? id : this.#get(last, FIELD.next));
    if (last !== 0) {
      this.#set(last, FIELD.next, id);
    }
    this.#set(parent, FIELD.link, id);
    if (id > 2 * this.#buckets.length) {
      this.#rehash();
    }
    this.#file(id);
  }

  /** Removes a node and everything below it from its folder. */
  detach(id: NodeId): void {
    this.setFlag(id, FLAG.gone);
    const chain = this.#get(id, FIELD.chain);
    const bucket = this.#get(id, FIELD.hash) & (this.#buckets.length - 1);
    let before = this.#buckets[bucket] ?? 0;
    if (before === id) {
      this.#buckets[bucket] = chain;
      return;
    }
    while (this.#get(before, FIELD.chain) !== id) {
      before = this.#get(before, FIELD.chain);
    }
    this.#set(before, FIELD.chain, chain);
  }

  /** The child of that name, or 0. */
  find(parent: NodeId, name: ByteString): NodeId {
    const hash = this.#hash(parent, name);
    let id = this.#buckets[hash & (this.#buckets.length - 1)] ?? 0;
    while (id !== 0 && !(this.#get(id, FIELD.hash) === hash && this.parent(id) === parent && this.name(id) === name)) {
      id = this.#get(id, FIELD.chain);
    }
    return id;
  }

  /** Or 0. */
  firstChild(folder: NodeId): NodeId {
    const last = this.#get(folder, FIELD.link);
    return last === 0 ? 0 : this.#alive(this.#get(last, FIELD.next), last);
  }

  /** Or 0. */
  nextSibling(id: NodeId): NodeId {
    const last = this.#get(this.parent(id), FIELD.link);
    return id === last ? 0 : this.#alive(this.#get(id, FIELD.next), last);
  }

  /** Every node of the tree except the root, in pre-order. */
  *walk(): Generator<NodeId> {
    for (let id = this.firstChild(0); id !== 0; id = this.#after(id)) {
      yield id;
    }
  }

  parent(id: NodeId): NodeId {
    return this.#get(id, FIELD.parent);
  }

  name(id: NodeId): ByteString {
    return this.#texts.get(this.#get(id, FIELD.name));
  }

  /** The names from the root down to a node. */
  parts(id: NodeId): ByteString[] {
    const parts: ByteString[] = [];
    for (let at = id; at !== 0; at = this.parent(at)) {
      parts.push(this.name(at));
    }
    return parts.reverse();
  }

  kind(id: NodeId): NodeKind {
    return KINDS[this.#get(id, FIELD.bits) & KIND_MASK] ?? 'other';
  }

  has(id: NodeId, flag: number): boolean {
    return (this.#get(id, FIELD.bits) & flag) !== 0;
  }

  setFlag(id: NodeId, flag: number, on = true): void {
    const bits = this.#get(id, FIELD.bits);
    this.#set(id, FIELD.bits, on ? bits | flag : bits & ~flag);
  }

  header(id: NodeId): number {
    return this.#get(id, FIELD.header);
  }

  setHeader(id: NodeId, block: number): void {
    this.#set(id, FIELD.header, block);
  }

  /** For nodes other than folders. */
  link(id: NodeId): number {
    return this.#get(id, FIELD.link);
  }

  setLink(id: NodeId, link: number): void {
    this.#set(id, FIELD.link, link);
  }

  /** `id`, or the first node after it that is not gone; 0 if there is none up to `last`. */
  #alive(id: NodeId, last: NodeId): NodeId {
    let at = id;
    while (this.has(at, FLAG.gone)) {
      if (at === last) {
        return 0;
      }
      at = this.#get(at, FIELD.next);
    }
    return at;
  }

  #after(id: NodeId): NodeId {
    const child = this.kind(id) === 'dir' ? this.firstChild(id) : 0;
    let next = child;
    for (let at = id; next === 0 && at !== 0; at = this.parent(at)) {
      next = this.nextSibling(at);
    }
    return next;
  }

  #file(id: NodeId): void {
    const bucket = this.#get(id, FIELD.hash) & (this.#buckets.length - 1);
    this.#set(id, FIELD.chain, this.#buckets[bucket] ?? 0);
    this.#buckets[bucket] = id;
  }

  #rehash(): void {
    const old = this.#buckets;
    this.#buckets = new Uint32Array(2 * old.length);
    for (const first of old) {
      for (let id = first; id !== 0; ) {
        const next = this.#get(id, FIELD.chain);
        this.#file(id);
        id = next;
      }
    }
  }

  /** FNV-1a over the folder's number and the name, its bits mixed (MurmurHash3's finaliser). */
  #hash(parent: NodeId, name: ByteString): number {
    let hash = this.#seed ^ Math.imul(parent, 0x9e3779b1);
    for (let at = 0; at < name.length; at++) {
      hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  #get(id: NodeId, field: number): number {
    return this.#pages[id >>> PAGE_BITS]?.[((id & PAGE_MASK) << FIELD_BITS) + field] ?? 0;
  }

  #set(id: NodeId, field: number, value: number): void {
    const page = this.#pages[id >>> PAGE_BITS];
    if (page !== undefined) {
      page[((id & PAGE_MASK) << FIELD_BITS) + field] = value;
    }
  }
}
