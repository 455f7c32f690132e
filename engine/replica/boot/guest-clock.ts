import { messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import type { GuestClient } from '../../../guest/types.ts';
import type { VmRow } from '../../state/records.ts';

const log = logger('replica');

/** A smaller difference comes from the host's clock being disciplined, and from when the two clocks are read. */
const NOTABLE_MS = 1_000;

/** The difference between the time of day and a clock that stands while the host is asleep (CLOCK_MONOTONIC), in milliseconds. */
const hostOffset = (): number => Date.now() - performance.now();

/** Sets the clock of a guest, which stood while its machine was stopped or its host asleep, or whose host's clock was set. */
export class GuestClock {
  readonly #row: Pick<VmRow, 'name' | 'spec'>;
  #offset = hostOffset();
  /** How often the time has jumped, and how many of these jumps the guest was told. */
  #jumps = 0;
  #told = 0;
  #isSetting = false;
  #isDue = false;

  /** That of a replica in the machine of another is that other's. */
  constructor(row: Pick<VmRow, 'name' | 'spec'>) {
    this.#row = row;
  }

  /** Whether the host slept, or its clock was set, and the guest was not told since: it stays due until a set succeeded. */
  hasJumped(): boolean {
    const before = this.#offset;
    this.#offset = hostOffset();
    if (Math.abs(this.#offset - before) >= NOTABLE_MS) {
      this.#jumps += 1;
    }
    return this.#jumps !== this.#told;
  }

  /**
   * Sets it now, or once more after the answer to the last time: a machine that was taken over may say without end that it goes on, and its
   * guest need not answer. Never rejects: a guest with a late clock is better than none.
   */
  async set(guest: Pick<GuestClient, 'setClock'>): Promise<void> {
    this.#isDue = true;
    if (this.#isSetting) {
      return;
    }
    this.#isSetting = true;
    try {
      while (this.#isDue) {
        this.#isDue = false;
        await this.#setOnce(guest);
      }
    } finally {
      this.#isSetting = false;
    }
  }

  async #setOnce(guest: Pick<GuestClient, 'setClock'>): Promise<void> {
    const jumps = this.#jumps;
    try {
      if (this.#row.spec.shares === undefined) {
        await guest.setClock(Date.now());
      }
      this.#told = jumps;
    } catch (error) {
      log.warn('the clock of a guest may be late', { replica: this.#row.name, error: messageOf(error) });
    }
  }
}
