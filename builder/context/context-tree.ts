import { createHash } from 'node:crypto';
import { type BigIntStats, constants, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { decodeName, encodeName, isOddName } from '../../base/odd-names.ts';
import { FileCopies } from './copies.ts';
import { type FileStamp, type HashCache, isSameStamp } from './hash-cache.ts';
import type { IgnoreRules } from './ignore.ts';
import { readSmallFile, SMALL_FILE } from './read-small.ts';
import { compareBytes, dirName, type FileTree, joinPath, type TreeEntry } from './tree.ts';

interface ContextEntry extends TreeEntry {
  readonly stamp: FileStamp;
}

/** The reason of errors about files that changed under the build, which may be read again. */
export const CONTEXT_CHANGED = 'context-changed';

const NO_XATTRS: ReadonlyMap<string, Buffer> = new Map();
/** More entries than any reasonable context has; stops a build whose context is the host's root folder. */
const MAX_ENTRIES = 2_000_000;
const CHUNK = 1024 * 1024;
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * A folder of the host as a file tree: owners are 0:0, and sockets and ignored paths are left out. Reads only the
 * folders that are requested. Symlinks are entries, and are never followed on the host.
 */
export class ContextTree implements FileTree {
  readonly root: string;
  readonly #ignore: IgnoreRules;
  readonly #hashes: HashCache;
  readonly #entries = new Map<string, ContextEntry | undefined>();
  readonly #lists = new Map<string, readonly string[]>();
  readonly #linked = new Map<string, object>();
  readonly #small = Buffer.allocUnsafe(SMALL_FILE);
  /** Files that do not keep still are hashed and read as copies. */
  readonly #copies: FileCopies;
  readonly #restless = new Set<string>();

  constructor(root: string, ignore: IgnoreRules, hashes: HashCache) {
    this.root = root;
    this.#ignore = ignore;
    this.#hashes = hashes;
    this.#copies = new FileCopies(hashes.stagingFolder);
  }

  get(path: string): TreeEntry | undefined {
    return this.#entry(path);
  }

  list(path: string): readonly string[] {
    const known = this.#lists.get(path);
    if (known !== undefined) {
      return known;
    }
    const names = this.#readFolder(path).filter((name) => this.#entry(joinPath(path, name)) !== undefined);
    this.#lists.set(path, names);
    return names;
  }

  /** Whether a path exists but is excluded by the ignore file, for the error text. */
  isIgnored(path: string): boolean {
    return this.#ignore.excludes(path) && this.#stat(path) !== undefined;
  }

  /** Looks at everything anew; files that have changed since (or `all`) are copied when they are hashed. */
  renew(all: boolean): void {
    for (const [path, entry] of this.#entries) {
      if (entry?.type === 'file' && (all || !isSameStamp(entry.stamp, this.#stat(path)?.stamp))) {
        this.#restless.add(path);
      }
    }
    this.#entries.clear();
    this.#lists.clear();
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
      count = readSmallFile(copy?.file ?? this.#place(entry.path), target, { flags: READ_FLAGS, position: 0, ...after });
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

  /** Path on the host. Not `join`, because paths in the tree are clean already and there may be ten thousand. */
  #place(path: string): string | Buffer {
    const place = path === '' ? this.root : `${this.root}/${path}`;
    return isOddName(place) ? encodeName(place) : place;
  }

  #entry(path: string): ContextEntry | undefined {
    if (this.#entries.has(path)) {
      return this.#entries.get(path);
    }
    const entry = this.#find(path);
    this.#entries.set(path, entry);
    if (this.#entries.size > MAX_ENTRIES) {
      throw new HyprError('BUILD_FAILED', `the build context ${this.root} holds more than ${MAX_ENTRIES} files`, {
        hint: 'choose a smaller context folder, or keep files out with a .dockerignore',
      });
    }
    return entry;
  }

  #find(path: string): ContextEntry | undefined {
    if (path !== '' && this.#entry(dirName(path))?.type !== 'dir') {
      return undefined;
    }
    const entry = this.#stat(path);
    if (entry === undefined || path === '' || !this.#ignore.excludes(path)) {
      return entry;
    }
    // An excluded folder is kept if a negated pattern includes something below it again.
    const kept = entry.type === 'dir' && this.#ignore.mayIncludeBelow(path) && this.#hasIncluded(path);
    return kept ? entry : undefined;
  }

  #hasIncluded(folder: string): boolean {
    return this.#readFolder(folder).some((name) => {
      const path = joinPath(folder, name);
      if (!this.#ignore.excludes(path)) {
        return true;
      }
      return this.#ignore.mayIncludeBelow(path) && this.#stat(path)?.type === 'dir' && this.#hasIncluded(path);
    });
  }

  #readFolder(path: string): string[] {
    try {
      return readdirSync(this.#place(path), 'buffer').map(decodeName).sort(compareBytes);
    } catch (error) {
      throw readError(error, this.root, path);
    }
  }

  #stat(path: string): ContextEntry | undefined {
    try {
      const stat = lstatSync(this.#place(path), { bigint: true });
      // The context folder itself may be a symlink.
      const found = path === '' ? lstatSync(`${this.root}/.`, { bigint: true }) : stat;
      return toEntry(path, found, { root: this.root, linked: this.#linkedFile(found) });
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
        return undefined;
      }
      throw readError(error, this.root, path);
    }
  }

  /** The same object for all names of a file that has several. */
  #linkedFile(stat: BigIntStats): object | undefined {
    if (!stat.isFile() || stat.nlink < 2n) {
      return undefined;
    }
    const id = `${stat.dev} ${stat.ino}`;
    const known = this.#linked.get(id) ?? {};
    this.#linked.set(id, known);
    return known;
  }

  async #open(entry: TreeEntry) {
    try {
      return await open(this.#place(entry.path), READ_FLAGS);
    } catch (error) {
      throw openError(error, this.root, entry.path);
    }
  }
}

const stampOf = (entry: TreeEntry): FileStamp => (entry as ContextEntry).stamp;

const toStamp = ({ size, mtimeNs, ctimeNs, ino }: BigIntStats): FileStamp => ({ size: Number(size), mtime: mtimeNs, ctime: ctimeNs, ino });

const toEntry = (
  path: string,
  stat: BigIntStats,
  { root, linked }: { root: string; linked: object | undefined },
): ContextEntry | undefined => {
  const type = typeOf(stat);
  if (type === undefined) {
    return undefined;
  }
  const stamp = toStamp(stat);
  return {
    path,
    type,
    mode: Number(stat.mode) & 0o7777,
    uid: 0,
    gid: 0,
    size: type === 'file' ? stamp.size : 0,
    mtime: Math.max(0, Number(stat.mtimeNs / 1_000_000_000n)),
    link: type === 'symlink' ? decodeName(readlinkSync(encodeName(`${root}/${path}`), 'buffer')) : '',
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: NO_XATTRS,
    identity: linked ?? stamp,
    stamp,
  };
};

/** Devices are not copied from the host, and a layer cannot hold sockets. */
const typeOf = (stat: BigIntStats): TreeEntry['type'] | undefined => {
  if (stat.isFile()) {
    return 'file';
  }
  if (stat.isDirectory()) {
    return 'dir';
  }
  if (stat.isSymbolicLink()) {
    return 'symlink';
  }
  return stat.isFIFO() ? 'fifo' : undefined;
};

const changedError = (root: string, path: string): HyprError =>
  new HyprError('BUILD_FAILED', `${join(root, path)} changed while it was being read`, {
    hint: 'build again when nothing writes to the context',
    reason: CONTEXT_CHANGED,
  });

/** For a file that existed when its folder was listed. */
const openError = (error: unknown, root: string, path: string): unknown =>
  isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP') ? changedError(root, path) : readError(error, root, path);

const readError = (error: unknown, root: string, path: string): unknown =>
  isErrno(error, 'EACCES', 'EPERM')
    ? new HyprError('HYPR_PERMISSION', `${join(root, path)} of the build context is not readable`, {
        hint: 'change its permissions, or name it in .dockerignore',
        cause: error,
      })
    : error;
