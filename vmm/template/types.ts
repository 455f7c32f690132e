import type { Machine, MachineSpec } from '../machine.ts';

/** A machine that was booted to "waiting for orders" and saved. Its files never change while they are there. */
export interface Template {
  /** Names everything that must be the same in a clone: programs, processor, command line. */
  readonly key: string;
  /** The guest's memory, mapped copy-on-write by every clone; undefined for machines with shares, which get a copy from the state. */
  readonly ram: string | undefined;
  /** The state of everything else, as QEMU's migration writes it. */
  readonly state: string;
}

export interface Templates {
  /** The template for a machine's class, if there is a whole one and the machine can be a clone. */
  find(spec: MachineSpec): Promise<Template | undefined>;
  /** A machine had to boot: makes the template for the next of its class in the background, a little later. */
  wanted(spec: MachineSpec): void;
  /**
   * Makes the template for a machine's class now, unless it is there; two processes do the work once.
   * Undefined when such a machine cannot be a clone. Throws VMM_START, VMM_DIED, GUEST_BOOT, HYPR_TIMEOUT.
   */
  make(spec: MachineSpec, signal?: AbortSignal): Promise<Template | undefined>;
  /** A clone failed and booting did not: the second time the template is thrown away. */
  failed(template: Template): Promise<void>;
  /** Counts a clone that crashes in its first moments as failed. */
  watch(template: Template, machine: Machine): void;
}
