import { HyprError, isErrno } from '../../base/errors.ts';
import { freeBytes } from '../../base/host/files.ts';

/** Less than this and a disk is full for whatever failed. */
const FULL_BYTES = 4 << 20;

/**
 * The error to throw for one of fetching or unpacking into `folder`: HYPR_DISK_FULL where that disk is full, which programs tell
 * in words only; else the error itself. To be asked before what was written is removed, for that makes space.
 */
export const orDiskFull = async (error: unknown, folder: string): Promise<unknown> => {
  if (!(await isFull(error, folder))) {
    return error;
  }
  return new HyprError('HYPR_DISK_FULL', `no space left on the disk of ${folder}`, {
    hint: 'free some space, or point HYPR_HOME at a folder on a larger disk; a set-up needs 1 GB while it is made',
    cause: error,
  });
};

const isFull = async (error: unknown, folder: string): Promise<boolean> => {
  if (error instanceof HyprError && error.code === 'TOOLCHAIN_FAILED') {
    return ((await freeBytes(folder)) ?? Number.POSITIVE_INFINITY) <= FULL_BYTES;
  }
  return isErrno(error, 'ENOSPC', 'EDQUOT');
};
