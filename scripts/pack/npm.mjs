// npm's side of packing: a folder to a tarball whose bytes depend on the folder's content only.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeTar } from './tar.mjs';

/** Packs a folder as `npm pack` does (everything below `package/`), and returns the tarball's path. `level` is gzip's. */
export const packFolder = async (folder, out, level = 9) => {
  const { name, version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const file = join(out, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
  await writeFile(file, gzipSync(await writeTar(folder, 'package'), { level }));
  return file;
};

export const sha256 = async (file) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
/** Subresource integrity, as in a lock file. */
export const sha512 = async (file) =>
  `sha512-${createHash('sha512')
    .update(await readFile(file))
    .digest('base64')}`;
