import { sleep, withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import type { GuestClient } from '../../guest/types.ts';
import { type DiskSpec, disksOf } from '../../vmm/model/machine.ts';
import { type Lender, memberName } from '../machine/machine-config.ts';
import { hasMachine } from '../model/lifecycle.ts';
import type { ReplicaSpec } from '../model/spec.ts';
import type { VmRow, VolumeRow } from '../state/records.ts';

/** Gives the guest of a replica of this stack once it is prepared; undefined when its machine is gone or was not to be had. */
export type AwaitGuest = (replica: string, signal: AbortSignal) => Promise<GuestClient | undefined>;

const diskIn = (vm: VmRow, path: string) => {
  const record = vm.machine ?? vm.saved?.machine;
  return record && disksOf(record).find((disk) => disk.path === path);
};

const mounts = (vm: VmRow, volume: VolumeRow): boolean =>
  vm.spec.mounts.some((mount) => mount.kind === 'volume' && mount.volume === volume.name);

/** Of whose machine a replica is a part: its own, or that of the one that it joins. */
const machineOf = (spec: ReplicaSpec): string => spec.shares?.replica ?? spec.name;

/** Whether a replica mounts the volume without having its disk: another one's machine serves it. */
export const isBorrower = (vm: VmRow, volume: VolumeRow): boolean =>
  volume.form === 'disk' && vm.machine !== undefined && diskIn(vm, volume.path) === undefined && mounts(vm, volume);

/** Those of the stack that a replica serves a volume, which are not those that serve it one. */
export const borrowersOf = (keeper: VmRow, vms: readonly VmRow[], volumes: readonly VolumeRow[]): VmRow[] => {
  const serves = (one: VmRow, other: VmRow) =>
    volumes.some((volume) => diskIn(one, volume.path) !== undefined && mounts(one, volume) && isBorrower(other, volume));
  return vms.filter((vm) => vm.stack === keeper.stack && vm.id !== keeper.id && serves(keeper, vm) && !serves(vm, keeper));
};

/**
 * The replica whose machine has a volume's disk, or, by `claimed`, is about to get it. Of those in one machine it is who mounts the volume,
 * as only its part of the machine can serve it; one that does not is given where there is no other.
 */
export const findKeeper = (
  vms: readonly VmRow[],
  volume: VolumeRow,
  { stack, claimed }: { stack: string; claimed: string | undefined },
): VmRow | undefined => {
  const holders = vms.filter((vm) => diskIn(vm, volume.path) !== undefined);
  return (
    holders.find((vm) => mounts(vm, volume)) ??
    vms.find((vm) => vm.stack === stack && vm.name === claimed && vm.machine === undefined && hasMachine(vm.state)) ??
    // One that is about to join the machine that has it.
    vms.find((vm) => vm.state === 'created' && mounts(vm, volume) && holders.some((holder) => isInMachine(vm, holder))) ??
    holders[0]
  );
};

const isInMachine = (vm: VmRow, holder: VmRow): boolean => vm.stack === holder.stack && machineOf(vm.spec) === machineOf(holder.spec);

/** Whether another replica in the machine of this one brought, or mounts, a disk that was plugged into it. */
export const isUsedInMachine = (
  disk: DiskSpec,
  vm: VmRow,
  { vms, volumes }: { readonly vms: readonly VmRow[]; readonly volumes: readonly VolumeRow[] },
): boolean =>
  vms.some(
    (other) =>
      other.id !== vm.id &&
      hasMachine(other.state) &&
      isInMachine(other, vm) &&
      (disk.serial.startsWith(memberName(other)) || volumes.some((volume) => volume.path === disk.path && mounts(other, volume))),
  );

/** Throws VOLUME_IN_USE where another replica of the same machine has the disk: its guest is prepared only after this one's mounts. */
export const refuseWithinMachine = (
  volume: VolumeRow,
  spec: ReplicaSpec,
  { stack, keeper }: { stack: string; keeper: VmRow | undefined },
): void => {
  if (keeper?.stack === stack && machineOf(keeper.spec) === machineOf(spec) && mounts(keeper, volume)) {
    throw new HyprError(
      'VOLUME_IN_USE',
      `volume ${volume.name} is a disk, and ${keeper.name} and ${spec.name} of one machine both mount it`,
      {
        hint: 'two services of one machine (network_mode: service:…) cannot have the same disk. Share a folder: hypr volume create NEW makes one; copy the data into it and name it with "external: true"',
      },
    );
  }
};

interface Wanted {
  readonly volume: VolumeRow;
  readonly stack: string;
  readonly writes: boolean;
  /** The replica that has the disk now. */
  readonly keeper: () => VmRow | undefined;
}

/** For a machine that boots; one that stops has its grace period as well. */
const GUEST_MS = 300_000;

/** How often, and how many times, a machine is looked for that has ended and is not cleaned up yet: nothing tells of that. */
const RETRY_MS = 50;
const TRIES = 200;

/**
 * How the machine that has a volume's disk serves it; undefined when none has it. Waits for one that boots or ends. Throws VOLUME_IN_USE
 * where it cannot serve it: another stack's, one that is not running, one that has it read-only while `writes` is set, or a machine in
 * which the one that mounts it does not run. Throws HYPR_TIMEOUT where it neither boots nor ends.
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
  if (!mounts(keeper, volume)) {
    throw inUse(volume, keeper, 'has it in its machine, where the service that mounts it does not run');
  }
  const deadline = {
    ms: GUEST_MS + keeper.spec.stopGraceMs,
    what: `the machine of ${keeper.name}, which has the volume ${volume.name},`,
    signal,
  };
  const guest = await withDeadline(deadline, (waiting) => awaitGuest(keeper.name, waiting));
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
