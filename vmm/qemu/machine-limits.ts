import type { ProcessLimits } from '../../base/host/user-scope.ts';

/** What a machine is made of. */
export interface MachineSize {
  readonly memoryMib: number;
  readonly vcpus: number;
  /** How many folders of the host it shares: each has a daemon. */
  readonly shares: number;
  /** What it writes to its disks or shares is memory as well, and counted as its own: no limit of memory can be given. */
  readonly filesInMemory?: boolean;
  /** Emulated guests need room for their translated code. */
  readonly accelerated: boolean;
}

/** QEMU's own memory, and what it translates guest code to (1 GiB at most). */
const OWN_MIB = { accelerated: 512, emulated: 1536 };
/** Threads; QEMU may start no processes. */
const MOST_TASKS = 512;
/** A daemon of a share: its own memory, and its threads. */
const SHARE = { mib: 256, tasks: 64 };
/**
 * A daemon holds each file that its guest knows: 1.9 KiB of the kernel's and the rest its own, of which nothing can be reclaimed. It holds `most` of
 * them (the default of its --rlimit-nofile). A guest knows no more than its memory has room for, at about 1 KiB each.
 */
const FILE = { kib: 2.5, most: 1_000_000 };

/** Pure: what a machine and the daemons of its shares may use: its guest's memory and what they need besides, and a processor more than its guest has. */
export const machineLimits = ({ memoryMib, vcpus, shares, accelerated, filesInMemory }: MachineSize): ProcessLimits => {
  const own = (accelerated ? OWN_MIB.accelerated : OWN_MIB.emulated) + shares * SHARE.mib + heldMib(shares, memoryMib);
  // Tables of pages, of QEMU and of KVM, grow with the guest's memory.
  const bytes = (memoryMib + Math.ceil(memoryMib / 64) + own) * 2 ** 20;
  return { memoryBytes: filesInMemory === true ? undefined : bytes, cpus: vcpus + 1, tasks: MOST_TASKS + shares * SHARE.tasks };
};

const heldMib = (shares: number, memoryMib: number): number =>
  Math.ceil((Math.min(shares * FILE.most, memoryMib * 1024) * FILE.kib) / 1024);
