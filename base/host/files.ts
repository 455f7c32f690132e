import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HyprError, isErrno } from '../errors.ts';
import { stagingName, withoutStagingPath } from './staging.ts';

export interface WriteOptions {
  /** Default 0600. */
  readonly mode?: number;
  /**
   * A folder on the same file system for the staging file. It should be one that sweepStaging cleans, so that a killed
   * process leaves nothing behind.
   */
  readonly stagingFolder?: string;
}

/** Writes to a staging file, syncs, renames, syncs the folder: readers see the whole old file or the whole new one. */
export const writeFileAtomic = async (path: string, data: string | Uint8Array, options: number | WriteOptions = {}): Promise<void> => {
  const { mode = 0o600, stagingFolder } = typeof options === 'number' ? { mode: options } : options;
  const staging =
    stagingFolder === undefined ? `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp` : join(stagingFolder, stagingName('file'));
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if (stagingFolder !== undefined) {
      await mkdir(stagingFolder, { recursive: true, mode: 0o700 });
    }
    const file = await open(staging, 'wx', mode);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(staging, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(staging, { force: true });
    throw diskError(error, path);
  }
};

/** Syncs a file that another program wrote. */
export const syncFile = async (path: string): Promise<void> => {
  const file = await open(path, constants.O_RDONLY);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
};

/** The names in a folder, in no order; none where there is no such folder. */
export const listFolder = async (path: string): Promise<string[]> => {
  try {
    return await readdir(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return [];
    }
    throw error;
  }
};

/** The text of a file; undefined where there is none. */
export const readTextIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return undefined;
    }
    throw error;
  }
};

/** The first of these files that this process may execute. */
export const firstProgram = async (paths: readonly string[]): Promise<string | undefined> => {
  for (const path of paths) {
    const mayRun = access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (await mayRun) {
      return path;
    }
  }
  return undefined;
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

/** Removes a file, if it is there, so that a power cut does not bring it back. */
export const removeFile = async (path: string): Promise<void> => {
  await rm(path, { force: true });
  await syncFolder(dirname(path));
};

/** Whether two files have the same content. */
export const isSameFile = async (path: string, other: string): Promise<boolean> => {
  await using a = await open(path);
  await using b = await open(other);
  const size = (await a.stat()).size;
  if (size !== (await b.stat()).size) {
    return false;
  }
  const [left, right] = [Buffer.alloc(PIECE), Buffer.alloc(PIECE)];
  for (let at = 0; at < size; at += PIECE) {
    const { bytesRead } = await a.read(left, 0, PIECE, at);
    await b.read(right, 0, PIECE, at);
    if (left.compare(right, 0, bytesRead, 0, bytesRead) !== 0) {
      return false;
    }
  }
  return true;
};

const PIECE = 1024 * 1024;

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

/** Turns ENOSPC, EACCES and the like into errors that name the path; returns other errors unchanged. */
export const diskError = (error: unknown, file: string): unknown => {
  const path = withoutStagingPath(file);
  if (isErrno(error, 'ENOSPC', 'EDQUOT')) {
    const full = new HyprError('HYPR_DISK_FULL', `no space left on the disk of ${path}`, {
      hint: 'free some space: hypr rmi removes images, hypr compose down -v a stack with its volumes',
      cause: error,
    });
    fullAt.set(full, path);
    return full;
  }
  if (isErrno(error, 'EACCES', 'EPERM', 'EROFS')) {
    return new HyprError('HYPR_PERMISSION', `no permission to write ${path}`, {
      hint: 'check who owns it, or point HYPR_HOME at a folder of your own',
      cause: error,
    });
  }
  return error;
};

/** Errors of full disks → a path on that disk, which need not exist. */
const fullAt = new WeakMap<object, string>();

export interface DiskNeed {
  /** `the image nginx needs at least`, `the archive needs up to`. */
  readonly what: string;
  readonly bytes: number;
}

/**
 * Adds to a disk-full error how much the work needs and how much is free once its staged files are gone (call it after
 * that). Returns other errors unchanged.
 */
export const explainDiskFull = async (error: unknown, { what, bytes }: DiskNeed): Promise<unknown> => {
  if (!(error instanceof HyprError) || error.code !== 'HYPR_DISK_FULL' || error.details.length > 0) {
    return error;
  }
  const path = fullAt.get(error);
  const free = path === undefined ? undefined : await freeBytes(path);
  const has = free === undefined ? '' : `; ${formatMegabytes(free)} are free`;
  return new HyprError(error.code, error.message, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    details: [`${what} ${formatMegabytes(bytes)}${has}`],
    cause: error.cause ?? error,
  });
};

/** Free bytes for a user who is not root, on the disk of the nearest existing parent folder. */
export const freeBytes = async (path: string): Promise<number | undefined> => {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    return dirname(path) === path ? undefined : await freeBytes(dirname(path));
  }
};

const formatMegabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0)} MB`;
