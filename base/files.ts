import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HyprError, isErrno } from './errors.ts';

/** Writes aside, syncs, renames, syncs the folder: readers see the old file or the new one, whole. */
export const writeFileAtomic = async (path: string, data: string | Uint8Array, mode = 0o600): Promise<void> => {
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(aside, 'wx', mode);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(aside, { force: true });
    throw diskError(error, path);
  }
};

/** Makes a finished rename durable. */
export const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};

export const exists = async (path: string): Promise<boolean> => {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return false;
    }
    throw error;
  }
};

/** Turns ENOSPC, EACCES and their like into errors that name the path; leaves others alone. */
export const diskError = (error: unknown, path: string): unknown => {
  if (isErrno(error, 'ENOSPC', 'EDQUOT')) {
    return new HyprError('HYPR_DISK_FULL', `no space left on the disk of ${path}`, {
      hint: 'free some space: hypr rmi removes images, hypr compose down -v a stack with its volumes',
      cause: error,
    });
  }
  if (isErrno(error, 'EACCES', 'EPERM', 'EROFS')) {
    return new HyprError('HYPR_PERMISSION', `${path} may not be written`, {
      hint: 'check who owns it, or point HYPR_HOME at a folder of your own',
      cause: error,
    });
  }
  return error;
};
