import type { Machine, MachineSpec } from '../model/machine.ts';

/** A machine that was saved while it waited for its configuration. Its files never change. */
export interface Template {
  /** Identifies everything that must be the same in a clone: programs, processor, command line; and the disks of a `rooted` one. */
  readonly key: string;
  /** The guest's memory, mapped copy-on-write by every clone; undefined for machines with shares, whose memory is in the state. */
  readonly ram: string | undefined;
  /** The state of everything else, as QEMU's migration writes it. */
  readonly state: string;
  /** Set if its guest has a root and a writable layer mounted: the disk that every clone needs a copy of as its writable layer. */
  readonly upper: string | undefined;
}

/** Where the guest's memory of a template is, in a file (`mapped`) or in the state (`whole`); and whether a root is mounted. */
export type TemplateForm = 'mapped' | 'whole' | 'mapped-rooted' | 'whole-rooted';

export interface Templates {
  /**
   * The template for a machine's class, if there is an undamaged one and the machine can be a clone. With `rooted`, only one
   * whose guest has the machine's root mounted already.
   */
  find(spec: MachineSpec, form?: 'rooted'): Promise<Template | undefined>;
  /** Called when a machine started without a template: makes the missing one in the background, a little later. */
  wanted(spec: MachineSpec): void;
  /**
   * Makes the template for a machine's class now, unless it exists; with two processes the work is done once.
   * Undefined if such a machine cannot be a clone. Throws VMM_START, VMM_DIED, GUEST_BOOT, HYPR_TIMEOUT.
   */
  make(spec: MachineSpec, signal?: AbortSignal): Promise<Template | undefined>;
  /** The same for a template with the machine's root mounted; also undefined if that would not help. */
  makeRooted(spec: MachineSpec, signal?: AbortSignal): Promise<Template | undefined>;
  /** Called when a clone failed but a boot succeeded: the second time the template is removed. */
  failed(template: Pick<Template, 'key'>): Promise<void>;
  /** Ends what is being made in the background and waits until nothing is left of it. Nothing is made after that. */
  close(): Promise<void>;
  /** Counts a clone that crashes in its first moments as failed. */
  watch(template: Template, machine: Machine): void;
}
