import type { ProcessLimits } from '../../base/host/user-scope.ts';

/** What a machine is made of. */
export interface MachineSize {
  readonly memoryMib: number;
  readonly vcpus: number;
  /** How many folders of the host it shares: each has a daemon. */
  readonly shares: number;
  /** What it writes to its disks is memory as well, and counted as its own: no limit of memory can be given. */
  readonly disksInMemory?: boolean;
  /** Emulated guests need room for their translated code. */
  readonly accelerated: boolean;
}

/** QEMU's own memory, and what it translates guest code to (1 GiB at most). */
const OWN_MIB = { accelerated: 512, emulated: 1536 };
/** Threads; QEMU may start no processes. */
const MOST_TASKS = 512;
/** A daemon of a share: what it keeps of each file that the guest knows, and its threads. */
const SHARE = { mib: 256, tasks: 64 };

/** Pure: what a machine and the daemons of its shares may use: its guest's memory and what they need besides, and a processor more than its guest has. */
export const machineLimits = ({ memoryMib, vcpus, shares, accelerated, disksInMemory }: MachineSize): ProcessLimits => {
  const own = (accelerated ? OWN_MIB.accelerated : OWN_MIB.emulated) + shares * SHARE.mib;
  // Tables of pages, of QEMU and of KVM, grow with the guest's memory.
  const bytes = (memoryMib + Math.ceil(memoryMib / 64) + own) * 2 ** 20;
  return { memoryBytes: disksInMemory === true ? undefined : bytes, cpus: vcpus + 1, tasks: MOST_TASKS + shares * SHARE.tasks };
};
