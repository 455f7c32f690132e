import { HyprError } from '../../base/errors.ts';

interface Ladder {
  readonly steps: ReadonlyArray<() => void>;
  /** How many interrupts there had been when it began. */
  readonly from: number;
}

/** What commands say when the first Ctrl-C stops a stack in good order. */
export const STOPPING = 'Gracefully Stopping... press Ctrl+C again to force\n';

/**
 * Ctrl-C and SIGTERM, as a ladder: each takes one step more, the last step again and again. Without another
 * ladder the first aborts `signal` (the command ends with 130) and the second calls `force`. A command that
 * has its own idea of an orderly end (attached `up`, `exec`) takes them over with `take`.
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

  fire(): void {
    const ladder = this.#ladders.at(-1);
    const steps = ladder?.steps ?? [];
    const step = steps[Math.min(this.#count - (ladder?.from ?? 0), steps.length - 1)];
    this.#count += 1;
    step?.();
  }

  /** Leaves at once, whatever is still going on. */
  force(): void {
    this.#force();
  }

  /** All interrupts take these steps, the first of them first, until the returned function is called. */
  take(...steps: ReadonlyArray<() => void>): () => void {
    const ladder = { steps, from: this.#count };
    this.#ladders.push(ladder);
    return () => {
      this.#ladders = this.#ladders.filter((candidate) => candidate !== ladder);
    };
  }
}
