import { withDeadline } from '../../../base/deadline.ts';
import { messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import { traced } from '../../../base/trace/trace.ts';
import type { ProcessExit } from '../../../guest/types.ts';
import type { MachineExit } from '../../../vmm/model/machine.ts';
import type { Run } from './run.ts';

const log = logger('power-down');

/** How long the guest has to sync and power off after its workload has ended. */
export const POWER_OFF_MS = 20_000;

/** How long synced folders may take at the end for what this host does not have yet: tens of thousands of files. */
export const FLUSH_MS = 300_000;

export interface PowerDown {
  readonly stopSignal: number;
  readonly graceMs: number;
}

export interface PoweredDown {
  readonly machine: MachineExit;
  /** The workload's exit, if the guest still reported it. */
  readonly workload: ProcessExit | undefined;
}

/** Ends the machines of one replica; repeated calls for one machine share its end. */
export class PowerDowns {
  readonly #name: string;
  readonly #isOver: () => boolean;
  readonly #flushMs: number;
  readonly #underWay = new WeakMap<Run, Promise<PoweredDown>>();

  /** `isOver`: this process has released the machine and must not kill it. `flushMs`: 0 without synced folders. */
  constructor(name: string, isOver: () => boolean, flushMs = 0) {
    this.#name = name;
    this.#isOver = isOver;
    this.#flushMs = flushMs;
  }

  /** How long an end may take. */
  longest(graceMs: number): number {
    return graceMs + this.#flushMs + POWER_OFF_MS;
  }

  /** The pending end of a run, if there is one. */
  of(run: Run): Promise<PoweredDown> | undefined {
    return this.#underWay.get(run);
  }

  /** Asks the guest to power off, then ends the machine whatever the answer is. */
  start(run: Run, options: PowerDown): Promise<PoweredDown> {
    const known = this.#underWay.get(run) ?? this.#powerDown(run, options);
    this.#underWay.set(run, known);
    return known;
  }

  async #powerDown(run: Run, options: PowerDown): Promise<PoweredDown> {
    let workload: ProcessExit | undefined;
    let machine: Promise<MachineExit>;
    try {
      const deadline = { ms: this.longest(options.graceMs), what: `the end of ${this.#name}` };
      workload = await withDeadline(deadline, (signal) =>
        traced('signal, end, sync', this.#name, () =>
          run.guest.powerOff(this.#flushMs === 0 ? options : { ...options, flushMs: this.#flushMs }, signal),
        ),
      );
      machine = run.machine.finish();
    } catch (error) {
      log.warn('no clean power-off', { replica: this.#name, error: messageOf(error) });
      if (this.#isOver()) {
        throw error;
      }
      machine = run.machine.kill();
    }
    return { machine: await traced('machine ends', this.#name, () => machine), workload };
  }
}
