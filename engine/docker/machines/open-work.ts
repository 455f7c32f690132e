import { setTimeout as sleep } from 'node:timers/promises';

/** For builds whose clients were cut off, to end their machines and remove their files. */
const CLEAN_UP_MS = 30_000;

/** Work that has to clean up after itself before its server may end. */
export class OpenWork {
  readonly #open = new Set<Promise<unknown>>();

  /** Settles as the work does. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#open.add(work);
    try {
      return await work;
    } finally {
      this.#open.delete(work);
    }
  }

  /** Resolves when nothing is open, or after this time. The connections of the clients are closed before: the work is being ended. */
  async ended(ms = CLEAN_UP_MS): Promise<void> {
    const timer = new AbortController();
    const late = sleep(ms, undefined, { signal: timer.signal }).catch(() => {});
    await Promise.race([Promise.allSettled([...this.#open]), late]);
    timer.abort();
  }
}
