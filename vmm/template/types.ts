import type { Machine, MachineSpec } from '../model/machine.ts';

/** A machine that was saved while it waited for orders. Its files never change while they are there. */
export interface Template {
  /** Names everything that must be the same in a clone: programs, processor, command line; and the disks of a `rooted` one. */
  readonly key: string;
  /** The guest's memory, mapped copy-on-write by every clone; undefined for machines with shares, which get a copy from the state. */
  readonly ram: string | undefined;
  /** The state of everything else, as QEMU's migration writes it. */
  readonly state: string;
  /** Its guest has a root and a writable layer mounted: what the disk of the latter must be in every clone. */
  readonly upper: string | undefined;
}

/** Where a template has its guest's memory, in a file (`mapped`) or in the state (`whole`); and whether a root is mounted. */
export type TemplateForm = 'mapped' | 'whole' | 'mapped-rooted' | 'whole-rooted';

export interface Templates {
  /**
   * The template for a machine's class, if there is an undamaged one and the machine can be a clone. With `rooted`, only one
   * whose guest has the machine's root mounted already.
   */
  find(spec: MachineSpec, form?: 'rooted'): Promise<Template | undefined>;
  /** A machine began slower than it might: makes what it lacked for the next of its kind in the background, a little later. */
  wanted(spec: MachineSpec): void;
  /**
   * Makes the template for a machine's class now, unless it is there; two processes do the work once.
   * Undefined when such a machine cannot be a clone. Throws VMM_START, VMM_DIED, GUEST_BOOT, HYPR_TIMEOUT.
   */
  make(spec: MachineSpec, signal?: AbortSignal): Promise<Template | undefined>;
  /** The same for one with the machine's root mounted; undefined also where that would gain nothing. */
  makeRooted(spec: MachineSpec, signal?: AbortSignal): Promise<Template | undefined>;
  /** A clone failed and booting did not: the second time the template is thrown away. */
  failed(template: Pick<Template, 'key'>): Promise<void>;
  /** Counts a clone that crashes in its first moments as failed. */
  watch(template: Template, machine: Machine): void;
}
