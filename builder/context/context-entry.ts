import { type BigIntStats, readlinkSync } from 'node:fs';
import { decodeName, encodeName } from '../../base/odd-names.ts';
import type { FileStamp } from './hash-cache.ts';
import type { TreeEntry } from './tree.ts';

/** An entry of a context, with what tells whether its file has changed since. */
export interface ContextEntry extends TreeEntry {
  readonly stamp: FileStamp;
}

const NO_XATTRS: ReadonlyMap<string, Buffer> = new Map();

/** The stamp of an entry that a context gave. */
export const stampOf = (entry: TreeEntry): FileStamp => (entry as ContextEntry).stamp;

export const toStamp = ({ size, mtimeNs, ctimeNs, ino }: BigIntStats): FileStamp => ({
  size: Number(size),
  mtime: mtimeNs,
  ctime: ctimeNs,
  ino,
});

/**
 * The entry for a path of the folder `root`; undefined for what no layer holds. Owners and attributes are left out: BuildKit
 * takes the owners away, and with them a file's capabilities. `linked`: the same object for all names of a file.
 */
export const toEntry = (
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
