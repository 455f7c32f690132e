import { HyprError } from '../../base/errors.ts';

/** Told the how-manieth interrupt it is, counting from 1. */
export type InterruptHandler = (count: number) => void;

/**
 * Ctrl-C and SIGTERM. The first aborts `signal` (the command ends with 130), the second calls `force`.
 * A command that has its own idea of an orderly end (attached `up`, `exec`) takes them over with `take`.
 */
export class Interrupts {
  readonly #controller = new AbortController();
  readonly #force: () => void;
  #handlers: InterruptHandler[] = [];
  #count = 0;

  constructor(force: () => void = () => {}) {
    this.#force = force;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  fire(): void {
    const handler = this.#handlers.at(-1);
    this.#count += 1;
    if (handler) {
      handler(this.#count);
    } else if (this.#count === 1) {
      this.#controller.abort(new HyprError('HYPR_CANCELLED', 'interrupted'));
    } else {
      this.#force();
    }
  }

  /** Leaves at once, whatever is still going on. */
  force(): void {
    this.#force();
  }

  /** `handler` gets all interrupts until the returned function is called. */
  take(handler: InterruptHandler): () => void {
    this.#handlers.push(handler);
    return () => {
      this.#handlers = this.#handlers.filter((candidate) => candidate !== handler);
    };
  }
}
