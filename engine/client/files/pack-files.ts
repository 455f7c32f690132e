import type { Stats } from 'node:fs';
import { lstat, open, readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { BLOCK, padding } from '../../../base/tar/block.ts';
import { encodeHeader, type TarHeader } from '../../../base/tar/header.ts';
import type { PackOptions } from '../../model/types.ts';

const CHUNK = 256 << 10;
const MAX_DEPTH = 512;

/**
 * Packs a file or folder of this host as a tar, with entries below `options.name`. Symlinks are packed as symlinks,
 * except the path itself where `followLinks` is set. Sockets and devices are left out.
 */
export async function* packFiles(path: string, options: PackOptions): AsyncGenerator<Uint8Array> {
  const top = options.followLinks ? await stat(path) : await lstat(path);
  yield* packOne({ path, name: options.name, info: top, depth: 0 }, options);
  yield Buffer.alloc(2 * BLOCK);
}

interface Entry {
  readonly path: string;
  readonly name: string;
  readonly info: Stats;
  readonly depth: number;
}

async function* packOne(entry: Entry, options: PackOptions): AsyncGenerator<Uint8Array> {
  const { path, name, info, depth } = entry;
  if (depth > MAX_DEPTH) {
    throw new HyprError('HYPR_USAGE', `folders are nested too deeply at ${path}`);
  }
  if (info.isDirectory()) {
    yield encodeHeader(header(entry, { name: `${name}/`, type: 'dir' }, options));
    for (const child of (await readdir(path)).sort()) {
      const below = join(path, child);
      const found = await lstat(below).catch(goneIsNothing);
      if (found !== undefined && options.leaveOut?.(below) !== true) {
        yield* packOne({ path: below, name: `${name}/${child}`, info: found, depth: depth + 1 }, options);
      }
    }
  } else if (info.isSymbolicLink()) {
    yield encodeHeader(header(entry, { type: 'symlink', link: await readlink(path) }, options));
  } else if (info.isFile()) {
    yield encodeHeader(header(entry, { type: 'file', size: info.size }, options));
    yield* contentOf(path, info.size);
  } else if (info.isFIFO()) {
    yield encodeHeader(header(entry, { type: 'fifo' }, options));
  }
}

const header = ({ name, info }: Entry, own: Partial<TarHeader> & Pick<TarHeader, 'type'>, options: PackOptions): TarHeader => ({
  name,
  mode: info.mode & 0o7777,
  uid: options.keepOwner ? info.uid : 0,
  gid: options.keepOwner ? info.gid : 0,
  size: 0,
  mtime: Math.floor(info.mtimeMs / 1000),
  link: '',
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: new Map(),
  ...own,
});

/**
 * Exactly `size` bytes and their padding. A file that shrinks meanwhile is padded with zeros, because its header has
 * been written already.
 */
async function* contentOf(path: string, size: number): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r');
  try {
    let left = size;
    while (left > 0) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, left));
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) {
        buffer.fill(0);
      }
      const part = bytesRead === 0 ? buffer : buffer.subarray(0, bytesRead);
      left -= part.length;
      yield part;
    }
    if (padding(size) > 0) {
      yield Buffer.alloc(padding(size));
    }
  } finally {
    await file.close();
  }
}

const goneIsNothing = (error: unknown): undefined => {
  if (isErrno(error, 'ENOENT')) {
    return undefined;
  }
  throw error;
};
