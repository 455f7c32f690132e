import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { exists, writeFileAtomic } from '../../base/host/files.ts';
import type { HomePaths } from '../../base/paths.ts';
import type { Toolchain } from '../model/tools.ts';
import type { Kernel } from './kernel.ts';
import type { Programs } from './programs.ts';

/** What HYPR_HOME/toolchain/manifest.json holds. `recipe` is the hash of what was asked for, the rest what came of it. */
export interface Manifest {
  readonly format: typeof FORMAT;
  readonly recipe: string;
  readonly programs: Programs;
  readonly kernel: Kernel;
  readonly toolchain: Toolchain;
}

export const FORMAT = 4;

/** The manifest, or undefined when there is none or it is of another version of hypr. */
export const readManifest = async (paths: HomePaths): Promise<Manifest | undefined> => {
  try {
    const manifest = JSON.parse(await readFile(manifestPath(paths), 'utf8')) as Partial<Manifest> | null;
    return manifest?.format === FORMAT ? (manifest as Manifest) : undefined;
  } catch (error) {
    // Written whole or not at all; one that cannot be parsed was edited, and is made again.
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
};

export const writeManifest = (paths: HomePaths, manifest: Manifest): Promise<void> =>
  writeFileAtomic(manifestPath(paths), `${JSON.stringify(manifest, null, 2)}\n`);

/** Whether the downloaded parts of a manifest are still there. */
export const hasDownloads = async ({ programs, kernel }: Manifest): Promise<boolean> => {
  const tools = [programs.qemu, programs.mkfsErofs, programs.mkfsExt4, programs.resize2fs, programs.e2fsck];
  return allExist([...tools.flatMap(({ file, prefix }) => [file, ...prefix.slice(-1)]), kernel.vmlinux, kernel.modules]);
};

/** Whether every file that a machine is started with is there. */
export const isReady = async (manifest: Manifest): Promise<boolean> => {
  const { kernel, initramfs, shareJail, tsc, preload, gvproxy } = manifest.toolchain;
  // Undefined in what an earlier hypr made.
  const files = [kernel, initramfs, shareJail, tsc, preload ?? '', gvproxy.file];
  return preload !== undefined && shareJail !== undefined && (await hasDownloads(manifest)) && allExist(files);
};

const allExist = async (files: readonly string[]): Promise<boolean> =>
  // A program's prefix may end in a flag; what is no path is not looked for.
  (await Promise.all(files.filter((file) => file.startsWith('/')).map(exists))).every(Boolean);

const manifestPath = (paths: HomePaths): string => join(paths.toolchain, 'manifest.json');
