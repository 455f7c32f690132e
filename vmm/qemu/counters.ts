import { readFile } from 'node:fs/promises';
import { isErrno } from '../../base/errors.ts';
import type { ProcessIdentity } from '../../base/host/process.ts';
import type { Qmp } from './qmp.ts';

/**
 * What KVM has counted about a machine since its start, summed over its processors: `exits`, `io_exits`, `halt_exits` … (Linux, Documentation/
 * virt/kvm/api.rst, KVM_GET_STATS_FD). Histograms are left out. Empty under software emulation.
 */
export const readCounters = async (qmp: Qmp, signal?: AbortSignal): Promise<Readonly<Record<string, number>>> => {
  const sums: Record<string, number> = {};
  for (const target of ['vm', 'vcpu'] as const) {
    for (const { stats } of await qmp.run('query-stats', { target }, signal)) {
      for (const { name, value } of stats) {
        if (typeof value === 'number') {
          sums[name] = (sums[name] ?? 0) + value;
        }
      }
    }
  }
  return sums;
};

/** Proportional memory of a process in bytes; 0 when it is gone or may not be looked at. */
export const readPss = async (identity: ProcessIdentity): Promise<number> => {
  try {
    const text = await readFile(`/proc/${identity.pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
  } catch (error) {
    // EACCES: a virtiofsd in its own user namespace cannot be read.
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) {
      return 0;
    }
    throw error;
  }
};
