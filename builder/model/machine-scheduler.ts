import { totalmem } from 'node:os';
import { onAbort } from '../../base/abort.ts';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';

const log = logger('build');

/** Sizes that machines come in (vmm/qemu/machine-class.ts), largest first. */
const BUILD_SIZES_MIB = [2048, 1536, 1024, 768, 512, 384];

/** Pure: memory of a build machine on a host with so much: 2 GiB, or what leaves a quarter to the host; a kernel gives no program more than it has. */
export const buildMemory = (hostMib: number): number => BUILD_SIZES_MIB.find((mib) => mib <= (hostMib * 3) / 4) ?? 256;

/** Memory of a build machine unless something else is asked for. */
export const BUILD_MEMORY_MIB = buildMemory(totalmem() / 2 ** 20);

/** With less than this free, machines that only wait are not worth their memory. */
const SHORT_MIB = 512;
const LINGER_MS = 2_000;
/** Other programs say nothing when they give memory back. */
const LOOK_AGAIN_MS = 1_000;

/** What the machines of one process may take of the host. */
export interface MachineBudget {
  /** Machines that run steps at once. */
  readonly working: number;
  /** Memory for all machines that are there, also those that wait for their next step. */
  readonly memoryMib: number;
  /** What the host has free at the moment: other programs take from it, too. Default: as much as is wanted. */
  readonly freeMib?: () => number;
  /** Milliseconds that a stage keeps its turn between two steps. Default 2000. */
  readonly lingerMs?: number;
  /** Milliseconds after which a machine that waits for memory looks at `freeMib` again. Default 1000. */
  readonly lookAgainMs?: number;
}

/** A machine that waits for its next step. It is ended when another needs its memory. */
export interface RestingMachine {
  /** Its stage is over: it is only kept because another stage may have a use for it. */
  readonly spare: boolean;
  /** Ends it; `left` is called for it. */
  giveUp(): Promise<void>;
}

interface Waiter {
  readonly wake: () => void;
  /** It has a machine, so that its turn costs no start of one. */
  readonly warm: boolean;
}

/**
 * Which machines of all builds of this process work, and which are there at all. A turn is for one step: steps whose stage has a
 * machine come first. A machine is admitted when its memory fits; until then machines that wait for a step are given up,
 * spare ones first, then the one that waits longest. The only machine of a process is always admitted.
 */
export class MachineScheduler {
  readonly #budget: MachineBudget;
  #turns: number;
  #used = 0;
  readonly #waiting: Waiter[] = [];
  #blocked: Array<() => void> = [];
  readonly #resting = new Set<RestingMachine>();

  constructor(budget: MachineBudget) {
    this.#budget = budget;
    this.#turns = this.working;
  }

  /** How many machines work at once. */
  get working(): number {
    return Math.max(1, this.#budget.working);
  }

  /** Milliseconds that a stage keeps its turn after a step, unless it waits for something before. */
  get lingerMs(): number {
    return this.#budget.lingerMs ?? LINGER_MS;
  }

  /** Waits for a turn; rejects with the signal's reason when aborted meanwhile. Each ends with `endTurn`. */
  async turn(options: { readonly warm: boolean }, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#turns > 0) {
      this.#turns -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const leave = onAbort(signal, () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal.reason);
      });
      const waiter: Waiter = {
        ...options,
        wake: () => {
          leave();
          resolve();
        },
      };
      this.#waiting.push(waiter);
    });
  }

  endTurn(): void {
    const warm = this.#waiting.findIndex((waiter) => waiter.warm);
    const [next] = this.#waiting.splice(Math.max(0, warm), 1);
    if (next === undefined) {
      this.#turns += 1;
    } else {
      next.wake();
    }
  }

  /** Waits until there is memory for another machine. Each that is admitted is reported by `left` when it has ended. */
  async admit(memoryMib: number, signal: AbortSignal): Promise<void> {
    while (!this.#fits(memoryMib)) {
      signal.throwIfAborted();
      const machine = this.#leastNeeded();
      if (machine === undefined) {
        await this.#change(signal);
      } else {
        await this.#end(machine);
      }
    }
    this.#used += memoryMib;
  }

  left(memoryMib: number): void {
    this.#used -= memoryMib;
    this.#changed();
  }

  /** The machine has nothing to do for now. Where memory is short it is given up at once. */
  rest(machine: RestingMachine): void {
    this.#resting.add(machine);
    if (this.#isShort(0)) {
      void this.#end(machine);
    }
    this.#changed();
  }

  /** False when the machine is being given up. */
  resume(machine: RestingMachine): boolean {
    return this.#resting.delete(machine);
  }

  #fits(memoryMib: number): boolean {
    return this.#used === 0 || (this.#used + memoryMib <= this.#budget.memoryMib && !this.#isShort(memoryMib));
  }

  #isShort(wantedMib: number): boolean {
    const free = this.#budget.freeMib?.() ?? Number.POSITIVE_INFINITY;
    return free < Math.max(wantedMib, SHORT_MIB);
  }

  #leastNeeded(): RestingMachine | undefined {
    const resting = [...this.#resting];
    return resting.find(({ spare }) => spare) ?? resting[0];
  }

  async #end(machine: RestingMachine): Promise<void> {
    this.#resting.delete(machine);
    try {
      await machine.giveUp();
    } catch (error) {
      log.debug('a machine that was given up did not end well', { reason: messageOf(error) });
    }
  }

  #changed(): void {
    const blocked = this.#blocked;
    this.#blocked = [];
    for (const wake of blocked) {
      wake();
    }
  }

  async #change(signal: AbortSignal): Promise<void> {
    const { freeMib, lookAgainMs = LOOK_AGAIN_MS } = this.#budget;
    const timer = freeMib === undefined ? undefined : setTimeout(() => this.#changed(), lookAgainMs);
    try {
      await new Promise<void>((resolve, reject) => {
        const leave = onAbort(signal, () => reject(signal.reason));
        this.#blocked.push(() => {
          leave();
          resolve();
        });
      });
    } finally {
      clearTimeout(timer);
    }
  }
}
