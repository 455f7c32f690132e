import { onAbort, orAbort } from '../../../base/abort.ts';

/**
 * Work that several ask for at the same moment and that is done once: who asks while it is under way waits for the same. One that
 * aborts gets its own reason and leaves the others their work, which is aborted when nobody waits for it any more.
 */
export class SharedWork<T> {
  readonly #work: (signal: AbortSignal) => Promise<T>;
  #running: Running<T> | undefined;

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.#work = work;
  }

  async join(signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    this.#running ??= this.#start();
    const running = this.#running;
    running.waiting += 1;
    const leave = onAbort(signal, () => {
      running.waiting -= 1;
      if (running.waiting === 0) {
        this.#forget(running);
        running.controller.abort(signal?.reason);
      }
    });
    return orAbort(running.result, signal).finally(leave);
  }

  #start(): Running<T> {
    const controller = new AbortController();
    const running = { result: this.#work(controller.signal), controller, waiting: 0 };
    running.result.catch(() => {}).finally(() => this.#forget(running));
    return running;
  }

  /** Whoever comes from now on begins anew. */
  #forget(running: Running<T>): void {
    if (this.#running === running) {
      this.#running = undefined;
    }
  }
}

interface Running<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  /** How many wait for it. */
  waiting: number;
}
