import { linkedController } from '../../base/abort.ts';
import type { LogRecord } from '../model/events.ts';
import type { LogsOptions } from '../model/types.ts';
import type { EventBus } from './bus.ts';
import type { LogStore } from './logs.ts';
import { isChosen, type LogSource, readMerged } from './read-logs.ts';

export interface FollowInput {
  readonly logs: LogStore;
  readonly bus: EventBus;
  readonly sources: () => readonly LogSource[];
  readonly settle: () => Promise<void>;
  /** Whether any of the chosen may still print: they run, or something is under way that may start them. */
  readonly goesOn: () => boolean;
  readonly options: LogsOptions;
}

/**
 * The past from disk, then the future from the bus, without a gap and without a line twice. Ends when
 * nothing of what was chosen goes on, as docker compose's does.
 */
export async function* followLogs(input: FollowInput, signal: AbortSignal): AsyncIterable<LogRecord> {
  const { options } = input;
  const numberOf = (replica: string) => input.sources().find((source) => source.replica === replica)?.number ?? 0;
  const accepts = (record: LogRecord) =>
    isChosen({ replica: record.replica, service: record.service, number: numberOf(record.replica) }, options);
  const ending = watchEnd(input, signal);
  const live = input.bus.stream((event) => event.type === 'log' && accepts(event.record), ending.signal);
  try {
    await input.settle();
    // Lines of the bus that are on disk already are told by identity of time (the guest's) and text.
    const seen = new LastKeys();
    for await (const record of readMerged(input.logs, input.sources(), options)) {
      seen.add(keyOf(record));
      yield record;
    }
    for await (const event of live) {
      if (event.type === 'log' && !seen.take(keyOf(event.record))) {
        yield event.record;
      }
    }
  } finally {
    ending.close();
    await live.return?.();
  }
}

/** Aborts its signal with the parent, and when nothing goes on and all that was printed is on the bus. */
const watchEnd = ({ bus, settle, goesOn }: FollowInput, parent: AbortSignal): { signal: AbortSignal; close(): void } => {
  const controller = linkedController(parent);
  const check = async () => {
    if (goesOn()) {
      return;
    }
    await settle();
    if (!goesOn()) {
      controller.abort();
    }
  };
  // After the event's own turn: an operation counts as under way until its last event was given.
  const soon = () => void setImmediate(() => void check().catch(() => controller.abort()));
  const close = bus.subscribe((event) => {
    if (event.type === 'replica' || event.type === 'finished') {
      soon();
    }
  });
  soon();
  return { signal: controller.signal, close };
};

/** A bag of the keys added last; a stream of the bus queues no more log lines than that. */
class LastKeys {
  readonly #order: string[] = [];
  readonly #counts = new Map<string, number>();
  #first = 0;

  add(key: string): void {
    this.#order.push(key);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    if (this.#order.length - this.#first > MAX_KEYS) {
      this.take(this.#order[this.#first] ?? '');
      this.#first += 1;
    }
    if (this.#first > MAX_KEYS) {
      this.#order.splice(0, this.#first);
      this.#first = 0;
    }
  }

  take(key: string): boolean {
    const count = this.#counts.get(key) ?? 0;
    if (count > 1) {
      this.#counts.set(key, count - 1);
    } else {
      this.#counts.delete(key);
    }
    return count > 0;
  }
}

const MAX_KEYS = 20_000;

const keyOf = (record: LogRecord): string => `${record.replica}\0${record.time}\0${record.stream}\0${record.line}`;
