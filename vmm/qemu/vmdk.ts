import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import type { DiskSpec } from '../model/machine.ts';

/** The files that a flat VMDK descriptor joins to one disk, with absolute paths; none for other disks, or if it is not there. */
export const extentsOf = async ({ path, format }: Pick<DiskSpec, 'path' | 'format'>): Promise<string[]> => {
  if (format !== 'vmdk') {
    return [];
  }
  try {
    return [...(await readFile(path, 'utf8')).matchAll(EXTENT)].map(([, , name = '']) => resolve(dirname(path), name));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  }
};

/** `RW 2048 FLAT "name" 0` */
const EXTENT = /^(RW \d+ FLAT )"([^"]+)"( \d+)$/gm;

/**
 * Puts links to the files of a disk into the machine's own folder, which is all that its QEMU can open by then, and gives the
 * disk as it is there; `takeBack` takes the links away. Throws EXDEV when the folder is on another file system.
 */
export const lendDisk = async (disk: DiskSpec, folder: string, name: string): Promise<DiskSpec> => {
  const path = join(folder, name);
  const links = await linksOf(disk, path);
  await takeBack(disk, folder, name);
  try {
    for (const [from, to] of links) {
      await link(from, to);
    }
    if (disk.format === 'vmdk') {
      let index = 0;
      const own = (await readFile(disk.path, 'utf8')).replace(EXTENT, (_, mode, __, offset) => `${mode}"${name}.${index++}"${offset}`);
      await writeFile(path, own, { mode: 0o600 });
    }
    return { ...disk, path };
  } catch (error) {
    await takeBack(disk, folder, name);
    throw error;
  }
};

/** Takes the links to a disk that was lent under this name out of the machine's folder. */
export const takeBack = async (disk: DiskSpec, folder: string, name: string): Promise<void> => {
  const path = join(folder, name);
  const links = await linksOf(disk, path);
  await Promise.all([path, ...links.map(([, to]) => to)].map((each) => rm(each, { force: true })));
};

const linksOf = async (disk: DiskSpec, path: string): Promise<Array<readonly [from: string, to: string]>> =>
  disk.format === 'vmdk'
    ? (await extentsOf(disk)).map((extent, index) => [extent, `${path}.${index}`] as const)
    : [[disk.path, path] as const];
