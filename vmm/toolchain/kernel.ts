import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import type { Apt } from '../../base/host/apt.ts';
import { exists, syncFolder } from '../../base/host/files.ts';
import { mustRun } from '../../base/host/process.ts';
import type { Tool } from '../model/tools.ts';
import { orDiskFull } from './disk-full.ts';
import type { PackageSource } from './package-source.ts';
import { type Programs, toolCommand } from './programs.ts';
import type { Report } from './steps.ts';

/** A metapackage that depends on Debian 13's newest 6.12 cloud kernel, whose image is extracted from its package and never installed. */
export const KERNEL_PACKAGE = 'linux-image-cloud-amd64';

export interface Kernel {
  /** 6.12.107+deb13-cloud-amd64 */
  readonly release: string;
  /** Uncompressed ELF. */
  readonly vmlinux: string;
  /** The folder `…/lib/modules`, with modules.dep below the release. */
  readonly modules: string;
}

export interface KernelPackage {
  readonly name: string;
  readonly release: string;
  readonly bytes: number;
}

/** The package that contains the kernel. */
export const findKernelPackage = async (packages: Pick<Apt, 'resolve'>): Promise<KernelPackage> => {
  for (const { file, bytes } of await packages.resolve([KERNEL_PACKAGE])) {
    const release = /^linux-image-(\d[^_]*-cloud-amd64)_/.exec(file)?.[1];
    if (release !== undefined) {
      const plain = decodeURIComponent(release);
      return { name: `linux-image-${plain}`, release: plain, bytes };
    }
  }
  throw new HyprError('TOOLCHAIN_FAILED', `the package ${KERNEL_PACKAGE} depends on no kernel`);
};

/** Downloads the kernel's package without its dependencies; undefined if it is unpacked already. */
export const fetchKernel = async (input: {
  packages: Apt;
  parent: string;
  wanted: KernelPackage;
  report: Report;
}): Promise<string | undefined> => {
  const { packages, parent, wanted, report } = input;
  if (await exists(kernelRoot(parent, wanted.release))) {
    return undefined;
  }
  return packages.downloadAlone(wanted.name, (percent) => report({ text: 'Downloading', percent, bytes: wanted.bytes }));
};

/** Unpacks a kernel's package into `parent/kernel-<release>`, unless `deb` is undefined: then it is there already. */
export const unpackKernel = async (input: {
  deb: string | undefined;
  packages: Pick<PackageSource, 'unpack'>;
  parent: string;
  release: string;
  programs: Pick<Programs, 'zstd' | 'depmod'>;
  signal: AbortSignal;
}): Promise<Kernel> => {
  const { deb, packages, parent, release, programs, signal } = input;
  const { zstd } = programs;
  const root = kernelRoot(parent, release);
  if (deb !== undefined) {
    const staging = `${root}.${process.pid}.tmp`;
    await mkdir(staging, { recursive: true });
    try {
      await packages.unpack(deb, staging);
      await unpackImage({ image: join(staging, 'boot', `vmlinuz-${release}`), out: join(staging, 'vmlinux'), zstd, signal });
      await rm(join(staging, 'boot'), { recursive: true });
      await listModules({ root: staging, release, depmod: programs.depmod, signal });
      await rename(staging, root);
      await syncFolder(parent);
    } catch (error) {
      throw await orDiskFull(error, parent);
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  }
  return { release, vmlinux: join(root, 'vmlinux'), modules: join(root, 'usr', 'lib', 'modules') };
};

/** The user's own kernel: HYPR_KERNEL (vmlinux or a zstd bzImage) with HYPR_KERNEL_MODULES (its lib/modules/<release>). */
export const ownKernel = async (input: { parent: string; zstd: Tool; signal: AbortSignal }): Promise<Kernel | undefined> => {
  const { HYPR_KERNEL: image, HYPR_KERNEL_MODULES: modules } = process.env;
  if (image === undefined || modules === undefined) {
    return undefined;
  }
  const release = basename(modules);
  const folder = dirname(modules);
  if (isElf(await readFile(image))) {
    return { release, vmlinux: image, modules: folder };
  }
  const vmlinux = join(input.parent, `vmlinux-${release}`);
  await unpackImage({ image, out: vmlinux, zstd: input.zstd, signal: input.signal });
  return { release, vmlinux, modules: folder };
};

/** Makes modules.dep, which the package would only make when it is installed. */
const listModules = async (input: { root: string; release: string; depmod: Tool | undefined; signal: AbortSignal }): Promise<void> => {
  if (input.depmod === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'depmod is needed to list the modules of the guest kernel', { hint: 'apt-get install kmod' });
  }
  // depmod expects a root folder with lib/modules.
  await symlink('usr/lib', join(input.root, 'lib'));
  const { file, args } = toolCommand(input.depmod, ['-b', input.root, input.release]);
  await mustRun(file, args, { signal: input.signal });
};

const kernelRoot = (parent: string, release: string): string => join(parent, `kernel-${release}`);

const unpackImage = async (input: { image: string; out: string; zstd: Tool; signal: AbortSignal }): Promise<void> => {
  const payload = `${input.out}.zst`;
  await writeFile(payload, zstdPayload(await readFile(input.image)));
  try {
    const { file, args } = toolCommand(input.zstd, ['-dqf', payload, '-o', input.out]);
    await mustRun(file, args, { signal: input.signal });
  } finally {
    await rm(payload, { force: true });
  }
  if (!isElf(await readFile(input.out))) {
    throw new HyprError('TOOLCHAIN_FAILED', `${input.image} holds no ELF kernel`);
  }
};

const isElf = (file: Buffer): boolean => file.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'));

const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** Offsets in a bzImage's setup header, Documentation/arch/x86/boot.rst; the payload's are there from protocol 2.08 on. */
const HEADER = { setupSects: 0x1f1, payloadOffset: 0x248, payloadLength: 0x24c, end: 0x250 } as const;
const SECTOR = 512;

/** The zstd-compressed kernel inside a bzImage. Throws TOOLCHAIN_FAILED when there is none. */
export const zstdPayload = (bzImage: Buffer): Buffer => {
  if (bzImage.length >= HEADER.end) {
    const setupSects = bzImage.readUInt8(HEADER.setupSects) || 4;
    const start = (setupSects + 1) * SECTOR + bzImage.readUInt32LE(HEADER.payloadOffset);
    const length = bzImage.readUInt32LE(HEADER.payloadLength);
    // The last four bytes are the uncompressed size, which the kernel's build appends; they do not belong to zstd.
    const payload = bzImage.subarray(start, start + length - 4);
    if (length > 8 && payload.subarray(0, 4).equals(ZSTD_MAGIC)) {
      return payload;
    }
  }
  throw new HyprError('TOOLCHAIN_FAILED', 'the kernel image is not compressed with zstd');
};
