import { HyprError } from '../../base/errors.ts';

export type Interrupt = 'SIGINT' | 'SIGTERM';

/** What an interrupt does; which one it was matters to few. */
export type InterruptStep = (signal: Interrupt) => void;

interface Ladder {
  readonly steps: readonly InterruptStep[];
  /** Number of interrupts received before it was registered. */
  readonly from: number;
}

/** Printed when the first Ctrl-C stops a stack gracefully. */
export const STOPPING = 'Gracefully Stopping... press Ctrl+C again to force\n';

/**
 * Ctrl-C and SIGTERM as a sequence of steps: each interrupt runs the next step, the last step repeats. By default the
 * first aborts `signal` (the command exits with 130) and the second calls `force`. A command with its own graceful end
 * (attached `up`, `exec`) takes them over with `take`.
 */
export class Interrupts {
  readonly #controller = new AbortController();
  readonly #force: () => void;
  #ladders: Ladder[];
  #count = 0;

  constructor(force: () => void = () => {}) {
    this.#force = force;
    const abort = () => this.#controller.abort(new HyprError('HYPR_CANCELLED', 'interrupted'));
    this.#ladders = [{ steps: [abort, force], from: 0 }];
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  fire(signal: Interrupt = 'SIGINT'): void {
    const ladder = this.#ladders.at(-1);
    const steps = ladder?.steps ?? [];
    const step = steps[Math.min(this.#count - (ladder?.from ?? 0), steps.length - 1)];
    this.#count += 1;
    step?.(signal);
  }

  /** Exits at once, whatever is still running. */
  force(): void {
    this.#force();
  }

  /** Interrupts run these steps, the first of them first, until the returned function is called. */
  take(...steps: readonly InterruptStep[]): () => void {
    const ladder = { steps, from: this.#count };
    this.#ladders.push(ladder);
    return () => {
      this.#ladders = this.#ladders.filter((candidate) => candidate !== ladder);
    };
  }
}
