import { readFile } from 'node:fs/promises';
import { HyprError } from '../../base/errors.ts';
import { userName } from '../../base/host/user-name.ts';
import type { MachineSpec } from '../model/machine.ts';
import { memoryClass } from '../model/memory-class.ts';

const MIB = 2 ** 20;
/** Beside a guest's memory, firmware and video memory are kept where they are. */
const MORE_MIB = 128;

/** Pure: memory in bytes that a machine with cards keeps where it is. */
export const lockedBytes = ({ memoryMib }: Pick<MachineSpec, 'memoryMib'>): number => (memoryClass(memoryMib) + MORE_MIB) * MIB;

/** Pure: the hard limit of /proc/PID/limits (proc(5)) in bytes. */
export const lockLimit = (limits: string): number => {
  const hard = /^Max locked memory\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === undefined || hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
};

export interface LockUser {
  readonly isRoot: boolean;
  readonly name: string;
  /** As /proc/self/limits has them, which is what is read by default. */
  readonly limits?: string;
}

/** Throws HYPR_UNSUPPORTED where this user may not keep so much memory in place; root gives it to the machine. */
export const refuseWithoutLock = async (spec: Pick<MachineSpec, 'name' | 'memoryMib'>, user: LockUser = thisUser()): Promise<void> => {
  const wanted = lockedBytes(spec);
  const limit = user.isRoot ? Number.POSITIVE_INFINITY : lockLimit(user.limits ?? (await readFile('/proc/self/limits', 'utf8')));
  if (limit < wanted) {
    const kib = Math.ceil(wanted / 1024);
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `${spec.name} cannot have cards: ${user.name} may lock ${Math.floor(limit / MIB)} MiB of memory, and it takes ${Math.ceil(wanted / MIB)} MiB`,
      {
        hint: `echo '${user.name} - memlock ${kib}' | sudo tee /etc/security/limits.d/hypr.conf, and log in again; for this shell: sudo prlimit --pid $$ --memlock=${wanted}:${wanted}`,
      },
    );
  }
};

const thisUser = (): LockUser => ({ isRoot: process.geteuid?.() === 0, name: userName() ?? String(process.getuid?.()) });
