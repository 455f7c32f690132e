import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Apt } from '../../base/apt.ts';
import { HyprError } from '../../base/errors.ts';
import { exists, writeFileAtomic } from '../../base/files.ts';
import { mustRun } from '../../base/process.ts';
import type { Tool } from '../tools.ts';

/** Depends on the newest 6.12 cloud kernel of Debian 13; the image is taken from its package, never installed. */
const META_PACKAGE = 'linux-image-cloud-amd64';

export interface Kernel {
  /** 6.12.107+deb13-cloud-amd64 */
  readonly release: string;
  /** Uncompressed ELF. */
  readonly vmlinux: string;
  /** Folder that holds modules.dep's tree: `…/usr/lib/modules/<release>`. */
  readonly modules: string;
}

/** Takes the kernel from its package into `parent/kernel-<release>`. `zstd` is the prefix's own. */
export const makeKernel = async (input: { apt: Apt; parent: string; zstd: Tool; signal: AbortSignal }): Promise<Kernel> => {
  const { apt, parent, signal } = input;
  const debs = await apt.resolve([META_PACKAGE]);
  const file = debs.map((deb) => deb.file).find((name) => /^linux-image-\d.*-cloud-amd64_/.test(name));
  const release = file === undefined ? undefined : /^linux-image-(\d[^_]*)_/.exec(file)?.[1];
  if (file === undefined || release === undefined) {
    throw new HyprError('TOOLCHAIN_FAILED', `the package ${META_PACKAGE} names no kernel`);
  }
  const name = decodeURIComponent(release);
  const root = join(parent, `kernel-${name}`);
  if (!(await exists(root))) {
    const deb = (await apt.download([META_PACKAGE])).find((path) => path.endsWith(`/${file}`));
    await unpackKernel({ deb: deb ?? file, root, release: name, zstd: input.zstd, signal });
  }
  return openKernel(root, name);
};

export const openKernel = (root: string, release: string): Kernel => ({
  release,
  vmlinux: join(root, 'vmlinux'),
  modules: join(root, 'usr', 'lib', 'modules', release),
});

const unpackKernel = async (input: { deb: string; root: string; release: string; zstd: Tool; signal: AbortSignal }): Promise<void> => {
  const aside = `${input.root}.${process.pid}.tmp`;
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { recursive: true });
  try {
    await mustRun('dpkg-deb', ['-x', input.deb, aside], { signal: input.signal });
    const packed = await readFile(join(aside, 'boot', `vmlinuz-${input.release}`));
    await writeFileAtomic(join(aside, 'payload.zst'), zstdPayload(packed));
    const { file, prefix } = input.zstd;
    // The payload is followed by its own size and signatures, which zstd reports as garbage: what matters is the ELF.
    await mustRun(file, [...prefix, '-dqf', join(aside, 'payload.zst'), '-o', join(aside, 'vmlinux')], { signal: input.signal });
    await rm(join(aside, 'payload.zst'));
    await rename(aside, input.root);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
};

const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const SETUP_HEADER = { setupSects: 0x1f1, payloadOffset: 0x248, payloadLength: 0x24c } as const;

/** The compressed kernel inside a bzImage (Documentation/arch/x86/boot.rst: payload_offset and payload_length, from protocol 2.08). */
export const zstdPayload = (bzImage: Buffer): Buffer => {
  const setupSects = bzImage.readUInt8(SETUP_HEADER.setupSects) || 4;
  const start = (setupSects + 1) * 512 + bzImage.readUInt32LE(SETUP_HEADER.payloadOffset);
  const length = bzImage.readUInt32LE(SETUP_HEADER.payloadLength);
  // The last four bytes of the payload are its uncompressed size, added by the kernel's build.
  const payload = bzImage.subarray(start, start + length - 4);
  if (!payload.subarray(0, 4).equals(ZSTD_MAGIC)) {
    throw new HyprError('TOOLCHAIN_FAILED', 'the kernel image is not compressed with zstd');
  }
  return payload;
};

/** Whether a kernel folder is whole. */
export const isKernel = async (kernel: Kernel): Promise<boolean> =>
  (await exists(kernel.vmlinux)) && (await readdir(kernel.modules).catch(() => [])).length > 0;
