import { chmod, constants, copyFile, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { diskError, exists, syncFile, syncFolder } from '../../base/host/files.ts';
import { mustRun, runProgram } from '../../base/host/process.ts';
import type { Tool } from '../model/tools.ts';

/**
 * Makes a sparse ext4 disk of `sizeMib`, staged and renamed so that a killed hypr leaves no half-made disk.
 * Tables are initialised lazily, so that even a large disk costs few blocks. An existing one stays.
 */
export const makeExt4Disk = async (options: {
  path: string;
  sizeMib: number;
  mkfs: Tool;
  label: string;
  /** Synced before it has its name, and that as well. */
  durable?: true;
  signal?: AbortSignal | undefined;
}): Promise<void> => {
  const { path, sizeMib, mkfs, label, durable, signal } = options;
  if (await exists(path)) {
    return;
  }
  await makeStaged(path, async (staging) => {
    const file = await open(staging, 'w', 0o600);
    try {
      await file.truncate(sizeMib * 2 ** 20);
    } finally {
      await file.close();
    }
    const lazy = 'lazy_itable_init=1,lazy_journal_init=1,nodiscard';
    const flags = ['-q', '-F', '-t', 'ext4', '-m', '0', '-L', label.slice(0, 16), '-E', lazy, '-J', 'size=8', staging];
    await mustRun(mkfs.file, [...mkfs.prefix, ...flags], signal ? { signal } : {});
    if (durable) {
      await syncFile(staging);
    }
  });
  if (durable) {
    await syncFolder(dirname(path));
  }
};

/**
 * Prepares an ext4 disk that no machine has open for being attached read-only, where its journal could not be replayed:
 * replays the journal that a killed machine left. False if the disk was never mounted. Throws VMM_START.
 */
export const settleExt4Disk = async (options: { path: string; e2fsck: Tool; signal?: AbortSignal | undefined }): Promise<boolean> => {
  const { path, e2fsck, signal } = options;
  const { mounts, needsRecovery } = await readSuperblock(path);
  if (mounts > 0 && needsRecovery) {
    const run = await runProgram(e2fsck.file, [...e2fsck.prefix, '-E', 'journal_only', '-y', path], signal ? { signal } : {});
    if (run.code >= E2FSCK_UNCORRECTED || (await readSuperblock(path)).needsRecovery) {
      throw new HyprError('VMM_START', `the journal of ${path} cannot be replayed`, {
        details: `${run.stdout}${run.stderr}`.trim().split('\n').slice(-4),
        hint: 'mount the volume once without :ro; the machine then replays it',
      });
    }
  }
  return mounts > 0;
};

/** Exit codes of e2fsck(8): 1 and 2 mean that errors were corrected. */
const E2FSCK_UNCORRECTED = 4;

/** ext4's superblock (Documentation/filesystems/ext4/super.rst): s_mnt_count, and INCOMPAT_RECOVER of s_feature_incompat. */
const readSuperblock = async (path: string): Promise<{ mounts: number; needsRecovery: boolean }> => {
  const file = await open(path, 'r');
  try {
    const { buffer } = await file.read(Buffer.alloc(1024), 0, 1024, 1024);
    return { mounts: buffer.readUInt16LE(0x34), needsRecovery: (buffer.readUInt32LE(0x60) & 0x4) !== 0 };
  } finally {
    await file.close();
  }
};

/**
 * Copies a sparse file with its holes, writable for its owner, staged and renamed. On file systems with reflinks the
 * blocks are shared.
 *
 * Not synced before the rename, because a start waits for it. A killed hypr loses nothing. After a power cut a copy may
 * be incomplete, but only while it holds no data yet: the guest's first journal commit, seconds after the mount, makes QEMU
 * sync the whole file, and template files are synced when they are sealed (template/store.ts). An incomplete layer cannot be
 * mounted; `up --force-recreate` makes a new one.
 */
export const copySparse = (from: string, to: string, signal?: AbortSignal): Promise<void> =>
  makeStaged(to, async (staging) => {
    try {
      await copyFile(from, staging, constants.COPYFILE_FICLONE_FORCE);
    } catch {
      // Node's copyFile would fill the holes, and a disk has sixty gigabytes of them.
      if (!(await copyByProgram(from, staging, signal))) {
        await copyWithoutZeros(from, staging, signal);
      }
    }
    await chmod(staging, 0o600);
  });

const copyByProgram = async (from: string, to: string, signal?: AbortSignal): Promise<boolean> => {
  try {
    return (await runProgram('cp', ['--sparse=auto', '--', from, to], signal ? { signal } : {})).code === 0;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) {
      return false;
    }
    throw error;
  }
};

const COPY_CHUNK = 1 << 20;

/** Where there is no cp of coreutils (busybox's has no --sparse): reads everything and writes what is not zero. */
const copyWithoutZeros = async (from: string, to: string, signal?: AbortSignal): Promise<void> => {
  await using source = await open(from);
  await using target = await open(to, 'w', 0o600);
  const { size } = await source.stat();
  const buffer = Buffer.allocUnsafe(COPY_CHUNK);
  const zeros = Buffer.alloc(COPY_CHUNK);
  await target.truncate(size);
  for (let at = 0; at < size; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await source.read(buffer, 0, COPY_CHUNK, at);
    if (bytesRead === 0) {
      break;
    }
    if (!buffer.subarray(0, bytesRead).equals(zeros.subarray(0, bytesRead))) {
      await target.write(buffer, 0, bytesRead, at);
    }
    at += bytesRead;
  }
};

const makeStaged = async (path: string, make: (staging: string) => Promise<void>): Promise<void> => {
  const staging = `${path}.${process.pid}.tmp`;
  try {
    await make(staging);
    await rename(staging, path);
  } catch (error) {
    await rm(staging, { force: true });
    throw diskError(error, path);
  }
};
