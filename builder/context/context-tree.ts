import { createHash } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { stampOf, toStamp } from './context-entry.ts';
import { changedError, openError } from './context-errors.ts';
import { ContextListing } from './context-listing.ts';
import { FileCopies } from './copies.ts';
import { type HashCache, isSameStamp } from './hash-cache.ts';
import type { IgnoreRules } from './ignore.ts';
import { readSmallFile, SMALL_FILE } from './read-small.ts';
import type { FileTree, TreeEntry } from './tree.ts';

const CHUNK = 1024 * 1024;
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * A folder of the host as a file tree: owners are 0:0, and sockets and ignored paths are left out. Reads only the
 * folders that are requested. Symlinks are entries, and are never followed on the host.
 */
export class ContextTree implements FileTree {
  readonly root: string;
  readonly #listing: ContextListing;
  readonly #hashes: HashCache;
  readonly #small = Buffer.allocUnsafe(SMALL_FILE);
  /** Files that do not keep still are hashed and read as copies. */
  readonly #copies: FileCopies;
  readonly #restless = new Set<string>();

  constructor(root: string, ignore: IgnoreRules, hashes: HashCache) {
    this.root = root;
    this.#listing = new ContextListing(root, ignore);
    this.#hashes = hashes;
    this.#copies = new FileCopies(hashes.stagingFolder);
  }

  get(path: string): TreeEntry | undefined {
    return this.#listing.get(path);
  }

  list(path: string): readonly string[] {
    return this.#listing.list(path);
  }

  /** Whether a path exists but is excluded by the ignore file, for the error text. */
  isIgnored(path: string): boolean {
    return this.#listing.isIgnored(path);
  }

  /** Looks at everything anew; files that have changed since (or `all`) are copied when they are hashed. */
  renew(all: boolean): void {
    for (const path of this.#listing.renew(all)) {
      this.#restless.add(path);
    }
  }

  /** Removes the copies. */
  close(): Promise<void> {
    return this.#copies.close();
  }

  /** Throws BUILD_FAILED, with the reason CONTEXT_CHANGED, when the file is not the one that was found. */
  async *read(entry: TreeEntry): AsyncIterable<Uint8Array> {
    const copy = this.#copies.get(stampOf(entry));
    const file = await (copy === undefined ? this.#open(entry) : open(copy.file));
    try {
      yield* this.#readAll(file, entry);
      if (copy === undefined) {
        this.#requireSame(entry, await file.stat({ bigint: true }));
      }
    } finally {
      await file.close();
    }
  }

  readSmall(entry: TreeEntry, into: Buffer): Buffer {
    const target = into.subarray(0, entry.size);
    const copy = this.#copies.get(stampOf(entry));
    const after = copy === undefined ? { after: (stat: BigIntStats) => this.#requireSame(entry, stat) } : {};
    let count: number;
    try {
      count = readSmallFile(copy?.file ?? this.#listing.place(entry.path), target, { flags: READ_FLAGS, position: 0, ...after });
    } catch (error) {
      throw openError(error, this.root, entry.path);
    }
    if (count < target.length) {
      throw changedError(this.root, entry.path);
    }
    return target;
  }

  async digest(entry: TreeEntry): Promise<string> {
    const stamp = stampOf(entry);
    if (this.#restless.has(entry.path)) {
      return (await this.#copies.make(stamp, () => this.#readAsItIs(entry))).digest;
    }
    const known = this.#hashes.get(entry.path, stamp);
    if (known !== undefined) {
      return known;
    }
    const hash = createHash('sha256');
    if (entry.size <= SMALL_FILE) {
      hash.update(this.readSmall(entry, this.#small));
    } else {
      for await (const chunk of this.read(entry)) {
        hash.update(chunk);
      }
    }
    const digest = hash.digest('hex');
    this.#hashes.set(entry.path, stamp, digest);
    return digest;
  }

  /** As many bytes as the entry says, whatever has changed meanwhile. */
  async *#readAsItIs(entry: TreeEntry): AsyncIterable<Uint8Array> {
    const file = await this.#open(entry);
    try {
      yield* this.#readAll(file, entry);
    } finally {
      await file.close();
    }
  }

  async *#readAll(file: FileHandle, entry: TreeEntry): AsyncIterable<Uint8Array> {
    for (let left = entry.size; left > 0; ) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(left, CHUNK)), 0, Math.min(left, CHUNK), null);
      if (bytesRead === 0) {
        throw changedError(this.root, entry.path);
      }
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  /** Writers change a file's times: what was read is what was hashed only while they are the same. */
  #requireSame(entry: TreeEntry, stat: BigIntStats): void {
    if (!isSameStamp(stampOf(entry), toStamp(stat))) {
      throw changedError(this.root, entry.path);
    }
  }

  async #open(entry: TreeEntry) {
    try {
      return await open(this.#listing.place(entry.path), READ_FLAGS);
    } catch (error) {
      throw openError(error, this.root, entry.path);
    }
  }
}
