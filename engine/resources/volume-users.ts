import { sleep } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import type { GuestClient } from '../../guest/types.ts';
import type { Lender } from '../machine/machine-config.ts';
import { hasMachine } from '../model/lifecycle.ts';
import type { VmRow, VolumeRow } from '../state/records.ts';

/** Gives the guest of a replica of this stack once it is prepared; undefined when its machine is gone or was not to be had. */
export type AwaitGuest = (replica: string, signal: AbortSignal) => Promise<GuestClient | undefined>;

const diskIn = (vm: VmRow, path: string) => (vm.machine ?? vm.saved?.machine)?.spec.disks.find((disk) => disk.path === path);

/** Whether a replica mounts the volume without having its disk: another one's machine serves it. */
export const isBorrower = (vm: VmRow, volume: VolumeRow): boolean =>
  volume.form === 'disk' &&
  vm.machine !== undefined &&
  diskIn(vm, volume.path) === undefined &&
  vm.spec.mounts.some((mount) => mount.kind === 'volume' && mount.volume === volume.name);

/** The replica whose machine has a volume's disk, or, by `claimed`, is about to get it. */
export const findKeeper = (
  vms: readonly VmRow[],
  volume: VolumeRow,
  { stack, claimed }: { stack: string; claimed: string | undefined },
): VmRow | undefined =>
  vms.find((vm) => diskIn(vm, volume.path) !== undefined) ??
  vms.find((vm) => vm.stack === stack && vm.name === claimed && vm.machine === undefined && hasMachine(vm.state));

interface Wanted {
  readonly volume: VolumeRow;
  readonly stack: string;
  readonly writes: boolean;
  /** The replica that has the disk now. */
  readonly keeper: () => VmRow | undefined;
}

/** How often, and how many times, a machine is looked for that has ended and is not cleaned up yet: nothing tells of that. */
const RETRY_MS = 50;
const TRIES = 200;

/**
 * How the machine that has a volume's disk serves it; undefined when none has it. Waits for one that boots or ends. Throws VOLUME_IN_USE
 * where it cannot serve it: another stack's, one that is not running, or one that has it read-only while `writes` is set.
 */
export const borrow = async (wanted: Wanted, awaitGuest: AwaitGuest, signal: AbortSignal): Promise<Lender | undefined> => {
  for (let tries = 0; ; tries += 1) {
    const keeper = wanted.keeper();
    if (keeper === undefined) {
      return undefined;
    }
    const lender = await borrowFrom(keeper, wanted, awaitGuest, signal);
    if (lender !== undefined) {
      return lender;
    }
    if (tries === TRIES) {
      throw inUse(wanted.volume, keeper, 'is using it');
    }
    await sleep(RETRY_MS, signal);
  }
};

const borrowFrom = async (keeper: VmRow, wanted: Wanted, awaitGuest: AwaitGuest, signal: AbortSignal): Promise<Lender | undefined> => {
  const { volume, stack, writes } = wanted;
  if (keeper.stack !== stack) {
    throw inUse(volume, keeper, `of the stack ${keeper.stack} is using it`);
  }
  if (keeper.state === 'paused' || keeper.saved !== undefined) {
    throw inUse(volume, keeper, `is using it, and is ${keeper.saved === undefined ? 'paused' : 'suspended'}`);
  }
  const guest = await awaitGuest(keeper.name, signal);
  const now = wanted.keeper();
  const disk = now === undefined ? undefined : diskIn(now, volume.path);
  if (guest === undefined || now?.id !== keeper.id || disk === undefined) {
    return undefined;
  }
  if (disk.readOnly && writes) {
    throw inUse(volume, keeper, 'is using it read-only');
  }
  return { name: keeper.name, guest, disk: disk.serial, readOnly: !writes };
};

const inUse = (volume: VolumeRow, keeper: VmRow, how: string): HyprError =>
  new HyprError('VOLUME_IN_USE', `volume ${volume.name} is a disk, and ${keeper.name} ${how}`, {
    hint: `it is attached to one machine, which serves it to others of its stack while it runs and may write to it. Its files: hypr volume export ${volume.name} -o FILE. Stop ${keeper.name} first, or share: hypr volume create NEW makes one that many stacks can use; copy the data into it and name it with "external: true"`,
  });
