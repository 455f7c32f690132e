// A tar of a folder: names in order, no owners, one time, modes by the executable bit only.
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { END_MARK, padding } from '../../base/tar/block.ts';
import { encodeHeader, PLAIN_FILE } from '../../base/tar/header.ts';

/** 1985-10-26T08:15:00Z, which npm gives to every file of a package. */
export const PACKED_AT = 499_162_500;

/** `prefix` is the folder in the tar, '.' for none; `folders` adds entries of the folders themselves. */
export const writeTar = async (folder, prefix, { folders = false } = {}) => {
  const names = (await readdir(folder, { recursive: true })).sort();
  const parts = folders ? [header(`${prefix}/`, { type: 'dir', mode: 0o755 })] : [];
  for (const name of names) {
    const path = join(folder, name);
    const info = await lstat(path);
    const at = `${prefix}/${name}`;
    if (info.isSymbolicLink()) {
      parts.push(header(at, { type: 'symlink', mode: 0o777, link: await readlink(path) }));
    } else if (info.isFile()) {
      const content = await readFile(path);
      const mode = info.mode & 0o100 ? 0o755 : 0o644;
      parts.push(header(at, { mode, size: content.length }), content, Buffer.alloc(padding(content.length)));
    } else if (folders) {
      parts.push(header(`${at}/`, { type: 'dir', mode: 0o755 }));
    }
  }
  return Buffer.concat([...parts, END_MARK]);
};

const header = (name, fields) => encodeHeader({ ...PLAIN_FILE, mtime: PACKED_AT, ...fields, name });
