import { onAbort } from '../../base/abort.ts';
/** A counting semaphore whose waiters can be aborted. */
export class Slots {
  #free: number;
  readonly #waiting: Array<() => void> = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Takes a slot if one is free. */
  tryAcquire(): boolean {
    const isFree = this.#free > 0;
    this.#free -= isFree ? 1 : 0;
    return isFree;
  }

  /** Waits for a slot; rejects with the signal's reason when aborted meanwhile. */
  async acquire(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.tryAcquire()) {
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const take = () => {
        leave();
        resolve();
      };
      const leave = onAbort(signal, () => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1);
        reject(signal.reason);
      });
      this.#waiting.push(take);
    });
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#free++;
    } else {
      next();
    }
  }
}
