import type { TarHeader } from '../../base/tar/header.ts';

/** An entry of a file tree that COPY and ADD read from or write to: the build context, a stage, an image, an archive. */
export interface TreeEntry extends Omit<TarHeader, 'name' | 'type'> {
  /** Clean, relative, no leading slash; the root is the empty string. */
  readonly path: string;
  readonly type: 'file' | 'dir' | 'symlink' | 'char' | 'block' | 'fifo';
  /** The same object for all names of one hard-linked file in a tree. */
  readonly identity: object;
  /** A folder that the archive has no entry of, only something in it. */
  readonly isImplied?: true;
}

export interface FileTree {
  /** The entry itself, without following a symlink; undefined if there is none. All parents must be real folders. */
  get(path: string): TreeEntry | undefined;
  /** Names in a folder, sorted by bytes. */
  list(path: string): readonly string[];
  /** Content of a file; throws if it is not `size` bytes long. */
  read(entry: TreeEntry): AsyncIterable<Uint8Array>;
  /**
   * Like `read`, synchronously, for a file that fits into `into`; returns the part of `into` that was filled. For a
   * small file, the switch to another thread and back takes ten times as long as the system calls.
   */
  readSmall?(entry: TreeEntry, into: Buffer): Buffer;
  /** sha256 of a file's content, hex. */
  digest(entry: TreeEntry): Promise<string>;
}

const MAX_LINKS = 255;

export const joinPath = (parent: string, name: string): string => (parent === '' ? name : `${parent}/${name}`);

export const dirName = (path: string): string => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '');

export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Cleans a path: `..` stops at the root, and the result has no leading slash. */
export const cleanPath = (path: string): string => {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') {
      parts.pop();
    } else if (part !== '' && part !== '.') {
      parts.push(part);
    }
  }
  return parts.join('/');
};

/**
 * Follows every symlink in a path, including the last one unless told otherwise; absolute targets and `..` stay inside
 * the tree. The result may not exist. Undefined if there are too many symlinks.
 */
export const resolvePath = (tree: Pick<FileTree, 'get'>, path: string, followLast = true): string | undefined => {
  let pending = path.split('/').reverse();
  let current = '';
  for (let links = 0; pending.length > 0; ) {
    const part = pending.pop() ?? '';
    if (part === '' || part === '.') {
      continue;
    }
    if (part === '..') {
      current = dirName(current);
      continue;
    }
    const next = joinPath(current, part);
    const isLast = pending.every((rest) => rest === '' || rest === '.');
    const entry = isLast && !followLast ? undefined : tree.get(next);
    if (entry?.type !== 'symlink') {
      current = next;
      continue;
    }
    if (++links > MAX_LINKS) {
      return undefined;
    }
    current = entry.link.startsWith('/') ? '' : current;
    pending = [...pending, ...entry.link.split('/').reverse()];
  }
  return current;
};

/** `resolvePath`, then the entry there. */
export const findEntry = (tree: Pick<FileTree, 'get'>, path: string, followLast = true): TreeEntry | undefined => {
  const resolved = resolvePath(tree, path, followLast);
  return resolved === undefined ? undefined : tree.get(resolved);
};

/** Compares by UTF-8 bytes, the order in which Go and tar sort names. */
export const compareBytes = (a: string, b: string): number => {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const [unitA, unitB] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (unitA !== unitB) {
      return rank(unitA) - rank(unitB);
    }
  }
  return a.length - b.length;
};

/** UTF-8 sorts by code point: a surrogate stands for a code point above all those that need no pair. */
const rank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
