import { constants } from 'node:fs';
import { chmod, chown, lchown, link, lstat, mkdir, open, rm, symlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import type { TarHeader } from '../../../base/tar/header.ts';
import { readTar, StreamSource } from '../../../base/tar/reader.ts';
import type { UnpackOptions, UnpackPlace } from '../../model/types.ts';

const CHUNK = 256 << 10;

/**
 * Unpacks a tar from a replica on this host. The tar is not trusted: nothing is written outside the folder that
 * `options.place` names once the first entry is known, not even through symlinks, and devices are left out. Returns how
 * many entries were left out. Throws HYPR_USAGE, IMAGE_LAYER.
 */
export const unpackFiles = async (tar: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<number> => {
  const source = new StreamSource(tar);
  const folders: Array<{ readonly path: string; readonly header: TarHeader }> = [];
  let place: UnpackPlace | undefined;
  let skipped = 0;
  try {
    for await (const { header } of readTar(source)) {
      place ??= await options.place(header.type === 'dir' ? 'dir' : 'file');
      const path = targetOf(place, header.name);
      await refuseLinksOnTheWay(place, path);
      if (!(await makeEntry({ path, header, place, source, keepOwner: options.keepOwner }))) {
        skipped += 1;
      } else if (header.type === 'dir') {
        folders.push({ path, header });
      }
    }
  } finally {
    await source.close();
  }
  // Folders get their time and mode last, deepest first: unpacking into a folder changes its time and may need its permissions.
  for (const { path, header } of folders.reverse()) {
    await finishFolder(path, header, options);
  }
  return skipped;
};

/** The target of an entry: its first part is the requested path, which gets the new name. */
const targetOf = (place: UnpackPlace, name: string): string => {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) {
    throw new HyprError('HYPR_USAGE', `the archive has an entry that leaves its folder: ${name}`);
  }
  const below = name.startsWith('./') || name === '.' ? parts : parts.slice(1);
  return join(place.root, place.name, ...below);
};

/** Checks that every path component between the root and an entry is a folder and not a link. */
const refuseLinksOnTheWay = async (place: UnpackPlace, path: string): Promise<void> => {
  const way: string[] = [];
  for (let at = dirname(path); at.length > place.root.length && at.startsWith(place.root); at = dirname(at)) {
    way.unshift(at);
  }
  for (const folder of way) {
    const info = await lstat(folder).catch(goneIsNothing);
    if (info === undefined) {
      await mkdir(folder, { mode: 0o755 });
    } else if (!info.isDirectory()) {
      throw new HyprError(
        'HYPR_USAGE',
        `${folder} is in the way: it is a ${info.isSymbolicLink() ? 'link' : 'file'}, and files go below it`,
      );
    }
  }
};

interface Making {
  readonly path: string;
  readonly header: TarHeader;
  readonly place: UnpackPlace;
  readonly source: StreamSource;
  readonly keepOwner: boolean;
}

const makeEntry = async (making: Making): Promise<boolean> => {
  const { path, header, place } = making;
  const before = await lstat(path).catch(goneIsNothing);
  if (header.type === 'dir') {
    if (before === undefined) {
      // Writable for us until the end, whatever its final permissions are.
      await mkdir(path, { mode: 0o700 });
    } else if (!before.isDirectory()) {
      throw new HyprError('HYPR_USAGE', `${path} is in the way: it is not a folder`);
    }
    return true;
  }
  if (!['file', 'symlink', 'hardlink'].includes(header.type)) {
    return false;
  }
  if (before?.isDirectory()) {
    throw new HyprError('HYPR_USAGE', `cannot write over the folder ${path}`);
  }
  await rm(path, { force: true });
  if (header.type === 'symlink') {
    await symlink(header.link, path);
    if (making.keepOwner) {
      await lchown(path, header.uid, header.gid).catch(deniedIsNothing);
    }
  } else if (header.type === 'hardlink') {
    const first = targetOf(place, header.link);
    await refuseLinksOnTheWay(place, first);
    if (!(await lstat(first)).isFile()) {
      throw new HyprError('HYPR_USAGE', `the archive links ${header.name} to what is no file`);
    }
    await link(first, path);
  } else {
    await writeContent(making);
  }
  return true;
};

const writeContent = async ({ path, header, source, keepOwner }: Making): Promise<void> => {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(path, flags, 0o600);
  try {
    for (let left = header.size; left > 0; ) {
      const part = await source.take(Math.min(left, CHUNK));
      if (part.length === 0) {
        throw new HyprError('IMAGE_LAYER', 'the archive ends within a file');
      }
      await file.writeFile(part);
      left -= part.length;
    }
    if (keepOwner) {
      await file.chown(header.uid, header.gid).catch(deniedIsNothing);
    }
    await file.chmod(modeOf(header, keepOwner));
    await file.utimes(header.mtime, header.mtime);
  } finally {
    await file.close();
  }
};

const finishFolder = async (path: string, header: TarHeader, { keepOwner }: UnpackOptions): Promise<void> => {
  if (keepOwner) {
    await chown(path, header.uid, header.gid).catch(deniedIsNothing);
  }
  await utimes(path, header.mtime, header.mtime);
  await chmod(path, modeOf(header, keepOwner));
};

/** Drops setuid and setgid from a file that will belong to the caller. */
const modeOf = (header: TarHeader, keepOwner: boolean): number => header.mode & (keepOwner ? 0o7777 : 0o777);

const goneIsNothing = (error: unknown): undefined => {
  if (isErrno(error, 'ENOENT')) {
    return undefined;
  }
  throw error;
};

/** Only root can change owners; for other users the files stay theirs, as with cp -a. */
const deniedIsNothing = (error: unknown): void => {
  if (!isErrno(error, 'EPERM', 'EINVAL')) {
    throw error;
  }
};
