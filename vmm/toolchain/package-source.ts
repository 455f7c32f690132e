import { rm } from 'node:fs/promises';
import { APT_KEYRING, type Apt, findDebianMirror, openApt } from '../../base/host/apt.ts';
import { exists } from '../../base/host/files.ts';
import { mustRun } from '../../base/host/process.ts';
import { openTarMirror, openWebMirror } from '../archive/mirror.ts';
import { type Archive, debianSource, openArchive } from '../archive/open-archive.ts';
import { unpackDeb } from '../archive/unpack-deb.ts';
import { findInPath } from './host-programs.ts';

/** Packages of Debian 13, from wherever this host can have them. */
export interface PackageSource extends Apt, AsyncDisposable {
  /** Unpacks a package's files into a folder that exists. */
  unpack(deb: string, folder: string): Promise<void>;
}

/** What `hypr setup` uses here. */
export type PackageClient = 'apt' | 'own';

/** apt where it is complete: with dpkg-deb and the keys of Debian, which Ubuntu may lack. HYPR_APT=0: never. Else hypr's own client. */
export const choosePackageClient = async (): Promise<PackageClient> => {
  const programs = await Promise.all(['apt-get', 'dpkg-deb'].map(findInPath));
  const isComplete = !programs.includes(undefined) && (await exists(APT_KEYRING));
  return isComplete && process.env.HYPR_APT !== '0' ? 'apt' : 'own';
};

interface Opening {
  /** Keeps the index, and downloads until they are unpacked. */
  readonly folder: string;
  /** A bundle (a tar that `writeBundle` made), with which no network is used. */
  readonly from?: string | undefined;
  readonly signal: AbortSignal;
}

/** The packages of Debian, by apt or by hypr's own client. Throws TOOLCHAIN_FAILED. */
export const openPackages = async (input: Opening): Promise<PackageSource> => {
  const { folder, from, signal } = input;
  if (from === undefined && (await choosePackageClient()) === 'apt') {
    const apt = await openApt(folder, undefined, signal);
    return {
      ...apt,
      unpack: async (deb, to) => void (await mustRun('dpkg-deb', ['-x', deb, to], { signal })),
      [Symbol.asyncDispose]: async () => {},
    };
  }
  return openOwnArchive(input);
};

/** Those packages by hypr's own client of Debian's archive, which also says which files make up a mirror of them. */
export const openOwnArchive = async ({ folder, from, signal }: Opening): Promise<PackageSource & Archive> => {
  const mirror = from === undefined ? openWebMirror(await findDebianMirror()) : await openTarMirror(from);
  const close = async () => {
    await mirror[Symbol.asyncDispose]();
    if (from !== undefined) {
      // What came of a bundle is in the bundle; a download that still ends when another has failed may keep the folder.
      await rm(archiveFolder(folder), { recursive: true, force: true }).catch(() => {});
    }
  };
  try {
    const archive = await openArchive(archiveFolder(folder), debianSource(mirror), signal);
    return { ...archive, unpack: (deb, to) => unpackDeb(deb, to, signal), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
};

/** Beside apt's: the two have other files. */
export const archiveFolder = (folder: string): string => `${folder}-archive`;
