import { withDeadline } from '../../base/deadline.ts';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { traced } from '../../base/trace.ts';
import type { ProcessExit } from '../../guest/types.ts';
import type { MachineExit } from '../../vmm/model/machine.ts';
import type { Run } from './run.ts';

const log = logger('power-down');

/** For the guest to sync and power off after its workload ended. */
export const POWER_OFF_MS = 20_000;

export interface PowerDown {
  readonly stopSignal: number;
  readonly graceMs: number;
}

export interface PoweredDown {
  readonly machine: MachineExit;
  /** The workload's end, when the guest still said it. */
  readonly workload: ProcessExit | undefined;
}

/** Ends the machines of one replica, each once, whoever asks how often. */
export class PowerDowns {
  readonly #name: string;
  readonly #isOver: () => boolean;
  readonly #underWay = new WeakMap<Run, Promise<PoweredDown>>();

  /** `isOver`: the machine is somebody else's now, and must not be forced. */
  constructor(name: string, isOver: () => boolean) {
    this.#name = name;
    this.#isOver = isOver;
  }

  /** What is under way for a run, if anything is. */
  of(run: Run): Promise<PoweredDown> | undefined {
    return this.#underWay.get(run);
  }

  /** Asks the guest to end, and ends the machine whatever it answers. */
  start(run: Run, options: PowerDown): Promise<PoweredDown> {
    const known = this.#underWay.get(run) ?? this.#powerDown(run, options);
    this.#underWay.set(run, known);
    return known;
  }

  async #powerDown(run: Run, options: PowerDown): Promise<PoweredDown> {
    let workload: ProcessExit | undefined;
    let machine: Promise<MachineExit>;
    try {
      const deadline = { ms: options.graceMs + POWER_OFF_MS, what: `the end of ${this.#name}` };
      workload = await withDeadline(deadline, (signal) =>
        traced('signal, end, sync', this.#name, () => run.guest.powerOff(options, signal)),
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
