import { mkdir, rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import type { ResolvedPackage } from '../../base/host/apt.ts';
import { exists, syncFolder } from '../../base/host/files.ts';
import { mustRun } from '../../base/host/process.ts';
import { shortHash } from '../../base/paths.ts';
import type { Tool } from '../model/tools.ts';
import { orDiskFull } from './disk-full.ts';
import type { Native } from './native.ts';
import type { PackageSource } from './package-source.ts';
import { type Programs, toolCommand } from './programs.ts';
import type { Report } from './steps.ts';

/** The packages of Debian 13; apt adds their dependencies. */
export const PACKAGES = [
  'qemu-system-x86',
  'seabios',
  'virtiofsd',
  'erofs-utils',
  'squashfs-tools',
  'e2fsprogs',
  'zstd',
  'xz-utils',
  // depmod, for the modules of the guest kernel.
  'kmod',
  // The C library that makes the guest agent small.
  'musl-dev',
] as const;

/** The C library is only there to compile the guest agent with; its package brings a compiler of fifty megabytes. */
export const packagesFor = (native: Native | undefined): readonly string[] =>
  native === undefined ? PACKAGES : PACKAGES.filter((name) => name !== 'musl-dev');

/**
 * Unpacks the packages into `parent/prefix-<id>`, staged and renamed: a prefix that exists is complete.
 * Nothing is installed on the host; programs run through the prefix's own loader and libraries.
 */
export const makePrefix = async (input: {
  packages: PackageSource;
  names: readonly string[];
  parent: string;
  report: Report;
  signal: AbortSignal;
}): Promise<Programs> => {
  const { packages, names, report, signal } = input;
  const resolved = await packages.resolve(names);
  const id = shortHash(resolved.map(({ file, hash }) => `${file} ${hash}`).join('\n'), 12);
  const root = join(input.parent, `prefix-${id}`);
  if (!(await exists(root))) {
    const bytes = resolved.reduce((sum, { bytes }) => sum + bytes, 0);
    const debs = await packages.download(names, (percent) => report({ text: 'Downloading', percent, bytes }));
    report({ text: 'Extracting' });
    await unpackAll(debs, root, packages, signal);
  }
  const programs = prefixPrograms({ root, id, packages: resolved });
  // A prefix that cannot run here (another architecture, a noexec home) is an error now, not at the first boot.
  const { file, args } = toolCommand(programs.qemu, ['--version']);
  await mustRun(file, args, { timeout: 30_000, signal });
  return programs;
};

const LOADER = 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2';
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';

/** Pure: the programs of a prefix and their command lines. */
export const prefixPrograms = (input: { root: string; id: string; packages: ReadonlyArray<Pick<ResolvedPackage, 'file'>> }): Programs => {
  const { root, id, packages } = input;
  const tool = (path: string, name: string): Tool => prefixTool(root, path, packages, name);
  return {
    id,
    qemu: tool('usr/bin/qemu-system-x86_64', 'qemu-system-x86'),
    qemuData: ['-L', join(root, 'usr/share/qemu'), '-L', join(root, 'usr/share/seabios')],
    virtiofsd: tool('usr/libexec/virtiofsd', 'virtiofsd'),
    mkfsErofs: tool('usr/bin/mkfs.erofs', 'erofs-utils'),
    mkfsExt4: tool('usr/sbin/mkfs.ext4', 'e2fsprogs'),
    resize2fs: tool('usr/sbin/resize2fs', 'e2fsprogs'),
    e2fsck: tool('usr/sbin/e2fsck', 'e2fsprogs'),
    zstd: tool('usr/bin/zstd', 'zstd'),
    xz: tool('usr/bin/xz', 'xz-utils'),
    depmod: tool('usr/sbin/depmod', 'kmod'),
    musl: root,
  };
};

/** A program of a prefix, run through the prefix's own loader. `name` is its package. */
export const prefixTool = (root: string, path: string, packages: ReadonlyArray<Pick<ResolvedPackage, 'file'>>, name: string): Tool => ({
  file: join(root, LOADER),
  prefix: ['--library-path', join(root, LIBRARIES), join(root, path)],
  version: packageVersion(packages, name),
  origin: 'toolchain',
});

/** Upstream version of a package in the closure: `qemu-system-x86_1%3a10.0.2+ds-2_amd64.deb` → `10.0.2`. */
export const packageVersion = (packages: ReadonlyArray<Pick<ResolvedPackage, 'file'>>, name: string): string => {
  const file = packages.find((candidate) => candidate.file.startsWith(`${name}_`))?.file ?? '';
  const version = decodeURIComponent(file.split('_')[1] ?? '').replace(/^\d+:/, '');
  return /^[\d.]*\d/.exec(version)?.[0] ?? 'unknown';
};

/** Unpacks packages into a new folder, staged and renamed. They can be unpacked concurrently, because they share folders only. */
export const unpackAll = async (
  debs: readonly string[],
  root: string,
  { unpack }: Pick<PackageSource, 'unpack'>,
  signal: AbortSignal,
): Promise<void> => {
  const staging = `${root}.${process.pid}.tmp`;
  await mkdir(staging, { recursive: true, mode: 0o755 });
  try {
    // First the package with the links of a merged /usr, so that no other package makes /lib a folder.
    const isBase = (deb: string) => deb.includes('/base-files_');
    const limit = pLimit(availableParallelism());
    for (const batch of [debs.filter(isBase), debs.filter((deb) => !isBase(deb))]) {
      // All have ended before the folder is removed.
      const ended = await Promise.allSettled(
        batch.map((deb) =>
          limit(() => {
            signal.throwIfAborted();
            return unpack(deb, staging);
          }),
        ),
      );
      throwFirst(ended);
    }
    await rename(staging, root);
    await syncFolder(join(root, '..'));
  } catch (error) {
    throw await orDiskFull(error, join(root, '..'));
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
};

const throwFirst = (ended: ReadonlyArray<PromiseSettledResult<unknown>>): void => {
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed !== undefined) {
    throw failed.reason;
  }
};
