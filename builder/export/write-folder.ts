import { createWriteStream, type Stats } from 'node:fs';
import { chmod, cp, link, lstat, lutimes, mkdir, readdir, rename, rm, rmdir, symlink, utimes } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HyprError, isErrno } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import { stagingPathBeside } from '../../base/host/staging.ts';
import type { TreeEntry } from '../context/tree.ts';
import type { LayerTree } from '../solver/layer/layer-tree.ts';
import { treeItems } from './tree-items.ts';

/**
 * Writes a file system into a folder, as `type=local` does: the caller owns everything, modes and times are those of the
 * image, and devices are left out (their paths are returned). Existing files are kept unless they are in the way or
 * `clear` is set. Nothing is ever written through a symlink: whatever is not a real folder where one is needed is
 * replaced. Everything is staged inside the folder and then moved into place, so a build that fails or is cancelled
 * before that leaves the folder unchanged; folders that had to be created are removed again, unless another build uses them.
 */
export const writeFolder = async (
  tree: LayerTree,
  options: { readonly folder: string; readonly clear: boolean; readonly epoch: number | undefined; readonly signal: AbortSignal },
): Promise<{ readonly files: number; readonly skipped: readonly string[] }> => {
  const { folder } = options;
  const created = await makeFolder(folder);
  const staging = await stagingPathBeside(join(folder, 'hypr-output'));
  try {
    await mkdir(staging, { mode: 0o700 });
    const result = await unpack(tree, staging, options);
    options.signal.throwIfAborted();
    if (options.clear) {
      await clearFolder(folder, staging);
    }
    await merge(staging, folder);
    await applyFolders(folder, result.folders);
    return { files: result.files, skipped: result.skipped };
  } catch (error) {
    await removeTree(staging);
    await removeEmpty(folder, created);
    throw diskError(error, folder);
  } finally {
    await removeTree(staging);
  }
};

/** Returns the topmost folder that had to be created. */
const makeFolder = async (folder: string): Promise<string | undefined> => {
  try {
    return await mkdir(folder, { recursive: true });
  } catch (error) {
    if (isErrno(error, 'EEXIST', 'ENOTDIR')) {
      throw new HyprError('HYPR_USAGE', `${folder} is not a folder: the output cannot go there`, { cause: error });
    }
    throw diskError(error, folder);
  }
};

/** Removes the folders from `folder` up to `top` that are empty. */
const removeEmpty = async (folder: string, top: string | undefined): Promise<void> => {
  if (top === undefined) {
    return;
  }
  try {
    for (let path = resolve(folder); path.startsWith(resolve(top)); path = dirname(path)) {
      await rmdir(path);
    }
  } catch {
    // Another build has files in it. What failed before is what is to be reported.
  }
};

interface Unpacked {
  readonly files: number;
  readonly skipped: readonly string[];
  /** Deepest first. Their modes and times are set last, because a mode may forbid writing. */
  readonly folders: ReadonlyArray<{ readonly path: string; readonly mode: number; readonly mtime: number }>;
}

/** `root` is empty and ours, so it contains no symlinks but ours; parents come before children. */
const unpack = async (tree: LayerTree, root: string, options: { epoch: number | undefined; signal: AbortSignal }): Promise<Unpacked> => {
  const skipped: string[] = [];
  const folders: Array<Unpacked['folders'][number]> = [];
  let files = 0;
  for (const { path, entry, attributes, hardlink } of treeItems(tree, options.epoch)) {
    options.signal.throwIfAborted();
    checkName(path);
    const target = join(root, path);
    if (entry.type === 'dir') {
      await mkdir(target, { mode: 0o700 });
      folders.unshift({ path, mode: entry.mode, mtime: attributes.mtime });
    } else if (hardlink !== undefined && !skipped.includes(hardlink)) {
      await link(join(root, hardlink), target);
    } else if (entry.type === 'symlink') {
      await symlink(entry.link, target);
      await lutimes(target, attributes.mtime, attributes.mtime);
    } else if (entry.type === 'file') {
      await writeEntry(tree, { entry, target, mtime: attributes.mtime, signal: options.signal });
      files++;
    } else {
      skipped.push(path);
    }
  }
  return { files, skipped, folders };
};

/** Names come from archives. They were cleaned there, and are checked again where it matters. */
const checkName = (path: string): void => {
  if (path.startsWith('/') || path.includes('\0') || path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new HyprError('IMAGE_LAYER', `${JSON.stringify(path)} cannot be the name of a file`);
  }
};

const writeEntry = async (
  tree: LayerTree,
  { entry, target, mtime, signal }: { entry: TreeEntry; target: string; mtime: number; signal: AbortSignal },
): Promise<void> => {
  await pipeline(Readable.from(tree.read(entry), { objectMode: false }), createWriteStream(target, { flags: 'wx', mode: 0o600 }), {
    signal,
  });
  await chmod(target, entry.mode);
  await utimes(target, mtime, mtime);
};

const clearFolder = async (folder: string, except: string): Promise<void> => {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (path !== except) {
      await removeTree(path);
    }
  }
};

/** Moves the contents of `from` into `to`: folders that exist on both sides are merged, anything else is replaced. */
const merge = async (from: string, to: string): Promise<void> => {
  for (const name of await readdir(from)) {
    const source = join(from, name);
    const target = join(to, name);
    const [mine, theirs] = await Promise.all([lstat(source), find(target)]);
    if (mine.isDirectory() && theirs?.isDirectory()) {
      await chmod(target, (theirs.mode & 0o7777) | 0o700);
      await merge(source, target);
      continue;
    }
    if (theirs?.isDirectory() || (mine.isDirectory() && theirs !== undefined)) {
      await removeTree(target);
    }
    await move(source, target);
  }
};

const find = (path: string): Promise<Stats | undefined> =>
  lstat(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw error;
  });

/** A folder in the target may be on another file system. */
const move = async (source: string, target: string): Promise<void> => {
  try {
    await rename(source, target);
  } catch (error) {
    if (!isErrno(error, 'EXDEV')) {
      throw error;
    }
    await cp(source, target, { recursive: true, force: true, preserveTimestamps: true, verbatimSymlinks: true });
  }
};

const applyFolders = async (folder: string, folders: Unpacked['folders']): Promise<void> => {
  for (const { path, mode, mtime } of folders) {
    const target = join(folder, path);
    await utimes(target, mtime, mtime);
    await chmod(target, mode);
  }
};

/** Also removes what its own mode forbids to read or write. */
const removeTree = async (path: string): Promise<void> => {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM')) {
      throw error;
    }
    await openUp(path);
    await rm(path, { recursive: true, force: true });
  }
};

const openUp = async (path: string): Promise<void> => {
  if ((await find(path))?.isDirectory()) {
    await chmod(path, 0o700);
    for (const name of await readdir(path)) {
      await openUp(join(path, name));
    }
  }
};
