import { sleep } from '../../../base/deadline.ts';
import { HyprError, messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';

const log = logger('attempts');

/**
 * What a replica does on its own, such as a restart by policy or on a new network: one thing at a time, and interruptible. A
 * boot or start that a plan asked for can be interrupted in the same way.
 */
export class Attempts {
  readonly #replica: string;
  #interrupt = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(replica: string) {
    this.#replica = replica;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Starts `work`. Resolves with its error, or undefined after success or an interruption; never rejects. */
  run(work: (signal: AbortSignal) => Promise<void>): Promise<unknown> {
    this.#interrupt = new AbortController();
    const { signal } = this.#interrupt;
    const running: Promise<unknown> = work(signal)
      .then(
        () => undefined,
        (error: unknown) => {
          log.warn('restart failed', { replica: this.#replica, error: messageOf(error) });
          return signal.aborted ? undefined : error;
        },
      )
      .finally(() => {
        if (this.#running === running) {
          this.#running = undefined;
        }
      });
    this.#running = running;
    return running;
  }

  /** Interrupts what runs; resolves when the replica does nothing on its own any more. */
  async interrupt(why: string): Promise<void> {
    this.#interrupt.abort(new HyprError('HYPR_CANCELLED', why));
    await this.#running;
  }

  /** A signal that aborts when `signal` does or `interrupt` is called. */
  interruptible(signal: AbortSignal): AbortSignal {
    if (this.#interrupt.signal.aborted && this.#running === undefined) {
      this.#interrupt = new AbortController();
    }
    return AbortSignal.any([signal, this.#interrupt.signal]);
  }
}

/** Ends early, without an error, when the signal aborts. */
export const pauseFor = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, signal).catch(() => {});
