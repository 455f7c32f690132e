import { open } from 'node:fs/promises';
import { HyprError } from '../../base/errors.ts';
import { diskError, freeBytes } from '../../base/host/files.ts';
import { mustRun } from '../../base/host/process.ts';
import type { Tool } from '../../vmm/model/tools.ts';

/** A device that an EROFS image points into, in 512-byte sectors. */
export interface ErofsDevice {
  readonly sectors: number;
  /** Where it starts in the concatenation of the image and its devices. */
  readonly start: number;
}

export interface ErofsImage {
  /** Sectors of the image itself. */
  readonly sectors: number;
  readonly devices: readonly ErofsDevice[];
}

const SUPER = 1024;
const MAGIC = 0xe0f5e1e2;
const SLOT = 128;
const SECTOR = 512;
const CHECKSUM_FEATURE = 1;

/** Writes an index over a tar in normal form: all metadata, contents by their place in the tar. About 30 ms for 10 000 files. */
export const indexLayer = async (
  tool: Tool,
  input: { tar: string; index: string; uuid: string; signal?: AbortSignal | undefined },
): Promise<void> => {
  const args = ['--tar=i', '--aufs', '-U', input.uuid, '--quiet', input.index, input.tar];
  await runMkfs(tool, { args, out: input.index, signal: input.signal });
};

/** Merges layer indexes, bottom first, applying whiteouts; the root folder becomes 0755, root's, of time 0. */
export const mergeIndexes = async (
  tool: Tool,
  input: { indexes: readonly string[]; merged: string; signal?: AbortSignal | undefined },
): Promise<ErofsImage> => {
  const args = ['--ovlfs-strip=1', '--quiet', input.merged, ...input.indexes];
  await runMkfs(tool, { args, out: input.merged, signal: input.signal });
  await settleRoot(input.merged);
  const image = await readErofs(input.merged);
  if (image.devices.length !== input.indexes.length) {
    throw damaged(input.merged, `has ${image.devices.length} devices for ${input.indexes.length} layers`);
  }
  return image;
};

const runMkfs = async (
  tool: Tool,
  { args, out, signal }: { args: readonly string[]; out: string; signal: AbortSignal | undefined },
): Promise<void> => {
  try {
    // Made here, because the program would make it with the umask's mode.
    await (await open(out, 'w', 0o600)).close();
    await mustRun(tool.file, [...tool.prefix, ...args], signal ? { signal } : {});
    // It can end with exit code 0 and nothing written; reading the result back tells.
    await readErofs(out);
  } catch (error) {
    throw (await isFull(out)) ? diskFull(out, error) : error;
  }
};

/** What mkfs.erofs says of a full disk is not to be relied on: it is asked whether a little more can be had. */
const isFull = async (out: string): Promise<boolean> => {
  const free = await freeBytes(out);
  return free !== undefined && free < FULL;
};

const FULL = 64 * 1024;

/** The parts of an EROFS image (kernel's fs/erofs/erofs_fs.h: superblock at 1024, device slots of 128 bytes). */
export const readErofs = async (path: string): Promise<ErofsImage> => {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const superblock = Buffer.alloc(128);
    await file.read(superblock, 0, 128, SUPER);
    if (superblock.readUInt32LE(0) !== MAGIC || superblock[12] !== 9) {
      throw damaged(path, 'is no EROFS image with blocks of 512 bytes');
    }
    const count = superblock.readUInt16LE(86);
    const slots = Buffer.alloc(count * SLOT);
    await file.read(slots, 0, slots.length, superblock.readUInt16LE(88) * SLOT);
    const devices = Array.from({ length: count }, (_, index) => ({
      sectors: slots.readUInt32LE(index * SLOT + 64),
      start: slots.readUInt32LE(index * SLOT + 68),
    }));
    const sectors = superblock.readUInt32LE(36);
    checkLayout(path, { sectors, devices }, size);
    return { sectors, devices };
  } finally {
    await file.close();
  }
};

const checkLayout = (path: string, image: ErofsImage, size: number): void => {
  let end = image.sectors;
  for (const { sectors, start } of image.devices) {
    if (start !== end) {
      throw damaged(path, `has a device at ${start} instead of ${end}`);
    }
    end += sectors;
  }
  if (size < image.sectors * SECTOR) {
    throw damaged(path, `has ${size} bytes instead of ${image.sectors * SECTOR}`);
  }
};

/** Merging gives the root mode 0777 and the time of the merge: set what every image has instead. */
const settleRoot = async (path: string): Promise<void> => {
  const file = await open(path, 'r+');
  try {
    const head = Buffer.alloc(SECTOR);
    await file.read(head, 0, SECTOR, SUPER);
    const at = head.readUInt32LE(40) * SECTOR + head.readUInt16LE(14) * 32;
    const inode = Buffer.alloc(64);
    await file.read(inode, 0, 64, at);
    const extended = (inode.readUInt16LE(0) & 1) === 1;
    inode.writeUInt16LE(0o40755, 4);
    if (extended) {
      inode.fill(0, 24, 44);
    } else {
      inode.writeUInt32LE(0, 24);
    }
    await file.write(inode, 0, extended ? 64 : 32, at);
    // The superblock's checksum covers its whole block, where the root of a small image lies too.
    await file.read(head, 0, SECTOR, SUPER);
    if ((head.readUInt32LE(8) & CHECKSUM_FEATURE) !== 0) {
      head.writeUInt32LE(0, 4);
      head.writeUInt32LE(crc32c(head), 4);
      await file.write(head, 0, SECTOR, SUPER);
    }
    await file.sync();
  } finally {
    await file.close();
  }
};

/** CRC-32C (Castagnoli), seeded with ones and not inverted at the end, as EROFS keeps it. */
export const crc32c = (data: Uint8Array): number => {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    }
  }
  return crc >>> 0;
};

const diskFull = (path: string, cause: unknown): unknown =>
  diskError(Object.assign(new Error('no space left', { cause }), { code: 'ENOSPC' }), path);

const damaged = (path: string, why: string): HyprError =>
  new HyprError('IMAGE_LAYER', `${path} ${why}`, { hint: 'check the toolchain with: hypr doctor' });
