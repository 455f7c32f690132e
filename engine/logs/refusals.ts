import { logger } from '../../base/log.ts';
import type { NetworkEvent } from '../../net/types.ts';
import type { Refusal } from '../model/events.ts';
import type { EventBus } from './bus.ts';

const log = logger('network');

/** A refusal is reported at once; more of the same are reported together after this time. */
const QUIET_MS = 60_000;
/** Destinations of a replica that are reported one by one in that time; the others are reported together. */
const MOST_PLACES = 16;
/** Replicas whose totals are kept. */
const MOST_REPLICAS = 10_000;

type NewRefusal = Omit<Refusal, 'service' | 'total'>;

export interface RefusalsOptions {
  readonly bus: EventBus;
  /** The service of a replica, by its name. */
  readonly serviceOf: (replica: string) => string | undefined;
}

/** Reports what rules of the file refused: as an event of the stack and in the supervisor's log, without flooding either. */
export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #totals = new Map<string, number>();
  /** For each replica, the destinations that were reported lately, with what was refused since. */
  readonly #quiet = new Map<string, Map<string, NewRefusal>>();

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** What a gateway refused; `nameOf` gives the replica that has an address. Limits and spoofed frames are in its counters; only what a rule of the file forbids is told. */
  tellOf(event: NetworkEvent, nameOf: (address: string) => string | undefined): void {
    const rule = event.event === 'refused' ? RULES[event.why ?? ''] : undefined;
    if (rule === undefined || event.machine === undefined) {
      return;
    }
    const address = event.to?.slice(0, event.to.lastIndexOf(':')) ?? '';
    const name = event.name ?? (rule === 'policy' ? nameOf(address) : undefined);
    this.tell({
      replica: event.machine,
      rule,
      protocol: event.protocol ?? '',
      count: event.count,
      ...(event.to === undefined ? {} : { to: event.to }),
      ...(name === undefined ? {} : { name }),
    });
  }

  tell(refusal: NewRefusal): void {
    const { replica, count } = refusal;
    this.#count(replica, count);
    const places = this.#quiet.get(replica) ?? new Map<string, NewRefusal>();
    this.#quiet.set(replica, places);
    const own = `${refusal.rule} ${refusal.protocol} ${refusal.name ?? refusal.to}`;
    const isOne = places.has(own) || places.size < MOST_PLACES;
    const key = isOne ? own : `${refusal.rule} many`;
    const told = isOne ? refusal : { replica, rule: refusal.rule, protocol: '', count };
    const waiting = places.get(key);
    if (waiting === undefined) {
      this.#emit(told);
      this.#beQuiet(places, key, { ...told, count: 0 });
    } else {
      places.set(key, { ...told, count: waiting.count + count });
    }
  }

  /** After the pause, what was refused meanwhile is reported and the pause begins again; if there was nothing, the destination is forgotten. */
  #beQuiet(places: Map<string, NewRefusal>, key: string, refusal: NewRefusal): void {
    places.set(key, refusal);
    const end = () => {
      const since = places.get(key);
      places.delete(key);
      if (since !== undefined && since.count > 0) {
        this.#emit(since);
        this.#beQuiet(places, key, { ...since, count: 0 });
      }
    };
    setTimeout(end, QUIET_MS).unref();
  }

  #count(replica: string, count: number): void {
    if (!this.#totals.has(replica) && this.#totals.size >= MOST_REPLICAS) {
      this.#totals.clear();
      this.#quiet.clear();
    }
    this.#totals.set(replica, (this.#totals.get(replica) ?? 0) + count);
  }

  #emit(refusal: NewRefusal): void {
    const { replica, rule, protocol, to, name, count } = refusal;
    log.warn('refused', { replica, rule, protocol, to, name, count });
    const service = this.#options.serviceOf(replica) ?? '';
    this.#options.bus.emit({ type: 'refusal', refusal: { ...refusal, service, total: this.#totals.get(replica) ?? count } });
  }
}

/** By the reason that a gateway gives. */
const RULES: Readonly<Record<string, Refusal['rule']>> = { policy: 'egress', peers: 'policy' };
