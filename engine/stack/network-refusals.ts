import { logger } from '../../base/log.ts';
import type { NetworkEvent } from '../../net/types.ts';
import type { EventBus } from '../logs/bus.ts';

const log = logger('network');

/** A refusal is told once in this time, however often the machine tries. */
const QUIET_MS = 60_000;
/** Destinations that are remembered for that. */
const MOST_REMEMBERED = 1_000;

/** Tells of connections that a service's rules refused: as a warning of the stack and in the supervisor's log. */
export class NetworkRefusals {
  readonly #bus: EventBus;
  readonly #toldAt = new Map<string, number>();

  constructor(bus: EventBus) {
    this.#bus = bus;
  }

  /** Limits and spoofed frames are in the gateway's counters; only what a rule of the file forbids is told. */
  tell({ event, machine, protocol, to, name, why }: NetworkEvent): void {
    if (event !== 'refused' || why !== 'policy') {
      return;
    }
    const place = name === undefined ? to : `${name} (${to})`;
    const key = `${machine} ${protocol} ${name ?? to}`;
    const now = Date.now();
    if (now - (this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) {
      return;
    }
    if (this.#toldAt.size >= MOST_REMEMBERED) {
      this.#toldAt.clear();
    }
    this.#toldAt.set(key, now);
    log.warn('refused by x-hypr.egress', { machine, protocol, to, name });
    this.#bus.emit({
      type: 'warning',
      message: `${machine} may not connect to ${place} by ${protocol}: its x-hypr.egress has no rule for it`,
    });
  }
}
