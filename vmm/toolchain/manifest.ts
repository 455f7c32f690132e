import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { exists, writeFileAtomic } from '../../base/host/files.ts';
import type { HomePaths } from '../../base/paths.ts';
import type { Toolchain } from '../model/tools.ts';
import type { Kernel } from './kernel.ts';
import type { Programs } from './programs.ts';

/** Content of HYPR_HOME/toolchain/manifest.json. `recipe` is the hash of the request, the rest is the result. */
export interface Manifest {
  readonly format: typeof FORMAT;
  readonly recipe: string;
  /** Of the package whose compiled parts were used; none in a clone, which compiles them. */
  readonly native?: string;
  readonly programs: Programs;
  readonly kernel: Kernel;
  readonly toolchain: Toolchain;
}

export const FORMAT = 4;

/** The manifest; undefined if there is none or another version of hypr wrote it. */
export const readManifest = async (paths: HomePaths): Promise<Manifest | undefined> => {
  try {
    const manifest = JSON.parse(await readFile(manifestPath(paths), 'utf8')) as Partial<Manifest> | null;
    return manifest?.format === FORMAT ? (manifest as Manifest) : undefined;
  } catch (error) {
    // It is written atomically, so one that cannot be parsed was edited; it is made again.
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
};

export const writeManifest = (paths: HomePaths, manifest: Manifest): Promise<void> =>
  writeFileAtomic(manifestPath(paths), `${JSON.stringify(manifest, null, 2)}\n`);

/** Whether the downloaded parts of a manifest still exist. */
export const hasDownloads = async ({ programs, kernel }: Manifest): Promise<boolean> => {
  const tools = [programs.qemu, programs.mkfsErofs, programs.mkfsExt4, programs.resize2fs, programs.e2fsck];
  return allExist([...tools.flatMap(({ file, prefix }) => [file, ...prefix.slice(-1)]), kernel.vmlinux, kernel.modules]);
};

/** Whether all files exist that are needed to start a machine. */
export const isReady = async (manifest: Manifest): Promise<boolean> => {
  const { kernel, initramfs, nestedInitramfs, shareJail, machineJail, tsc, preload, sharePreload, gvproxy } = manifest.toolchain;
  // Undefined in manifests of older versions.
  const isOfNow = [preload, sharePreload, nestedInitramfs, shareJail, machineJail].every((each) => each !== undefined);
  const files = [kernel, initramfs, nestedInitramfs ?? '', shareJail, machineJail, tsc, preload ?? '', sharePreload ?? '', gvproxy.file];
  return isOfNow && (await hasDownloads(manifest)) && allExist(files);
};

const allExist = async (files: readonly string[]): Promise<boolean> =>
  // A program's prefix may end in a flag, so only absolute paths are checked.
  (await Promise.all(files.filter((file) => file.startsWith('/')).map(exists))).every(Boolean);

const manifestPath = (paths: HomePaths): string => join(paths.toolchain, 'manifest.json');
