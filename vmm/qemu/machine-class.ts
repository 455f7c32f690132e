import type { DiskSpec, MachineSpec } from '../model/machine.ts';

/** Disks, NICs and shares that a clone can be given. */
export const SLOTS = 16;

/** The first slots hold a disk in the template already: every replica has a root and a writable layer. */
export const PREPARED_DISKS = 2;

/** The next one holds a NIC: every replica but one with `network_mode: none` has one. */
export const PREPARED_NICS = 1;

/** Pure: the slots that a machine takes as a clone. */
export const slotsOf = (spec: MachineSpec): number =>
  Math.max(spec.disks.length, PREPARED_DISKS) + Math.max(spec.nics.length, PREPARED_NICS) + spec.shares.length;

/** Pure: the first port of a machine that boots that a NIC is in; disks that are plugged in have those before. */
export const firstNicPort = ({ sparePorts = 0 }: MachineSpec): number => sparePorts;

/** Pure: the ports that a machine boots with. */
export const bootedPorts = (spec: MachineSpec): number =>
  firstNicPort(spec) + (spec.nicPorts === undefined ? 0 : spec.nics.length + spec.nicPorts);

/** Pure: why a machine cannot be a clone; undefined when it can. */
export const cloneRefusal = (spec: MachineSpec): string | undefined => {
  const count = slotsOf(spec);
  return count > SLOTS ? `${count} disks, NICs and shared folders are more than the ${SLOTS} that a template has slots for` : undefined;
};

/** Pure: the disks of a machine that may start with its root mounted, if its writable layer does not exist yet: the image and that layer. */
export const rootDisks = ({ disks }: MachineSpec): RootedDisks | undefined => {
  const [root, upper] = disks;
  return root?.readOnly && upper?.blank !== undefined ? { root, upper, blank: upper.blank } : undefined;
};

export interface RootedDisks {
  readonly root: DiskSpec;
  readonly upper: DiskSpec;
  readonly blank: NonNullable<DiskSpec['blank']>;
}
