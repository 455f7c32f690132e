import { readFile, stat } from 'node:fs/promises';
import { HyprError, isErrno } from '../../base/errors.ts';
import type { DiskSpec } from '../model/machine.ts';

/** proc(5), /proc/PID/limits: RLIMIT_FSIZE, in bytes or `unlimited`. */
const FILE_SIZE = /^Max file size\s+(\d+)/m;

const GIB = 2 ** 30;

/**
 * Throws HYPR_UNSUPPORTED for a disk that is larger than the files that the process may write (vmm/qemu/fence.ts sets that by the disks that its
 * machine began with): beyond the limit the guest's writes would fail.
 */
export const refuseOverFileLimit = async ({ path, readOnly }: DiskSpec, pid: number): Promise<void> => {
  // A process or disk that is gone is not its matter: whoever asks QEMU for the disk is told.
  const limits = readOnly ? '' : await readFile(`/proc/${pid}/limits`, 'utf8').catch(gone(''));
  const limit = FILE_SIZE.exec(limits)?.[1];
  const { size } = await stat(path).catch(gone({ size: 0 }));
  if (limit !== undefined && size > Number(limit)) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `${path} has ${inGib(size)} GiB: a machine that runs takes no disk larger than the ${inGib(Number(limit))} GiB that it began with`,
      { hint: 'add the mount to a service in the file that has its disks in this machine from its start, or make the volume smaller' },
    );
  }
};

const gone =
  <T>(instead: T) =>
  (error: unknown): T => {
    if (isErrno(error, 'ENOENT', 'ESRCH')) {
      return instead;
    }
    throw error;
  };

const inGib = (bytes: number): string => String(Math.round((bytes / GIB) * 100) / 100);
