import type { EventBus } from './bus.ts';
import type { LogRecord } from './events.ts';
import type { LogStore } from './logs.ts';
import type { LogsOptions } from './types.ts';

export interface LogSource {
  readonly replica: string;
  readonly service: string;
  readonly number: number;
}

/** What is on disk of the chosen replicas, merged by time: each file is in order, so this is a merge, not a sort. */
export async function* readMerged(logs: LogStore, sources: readonly LogSource[], options: LogsOptions): AsyncIterable<LogRecord> {
  const chosen = sources.filter((source) => isChosen(source, options));
  const heads = await Promise.all(
    chosen.map(async (source) => {
      const iterator = logs.read(source.replica, source.service, options)[Symbol.asyncIterator]();
      return { iterator, next: await iterator.next() };
    }),
  );
  for (;;) {
    const live = heads.filter((head) => !head.next.done);
    const first = live.reduce<(typeof heads)[number] | undefined>(
      (best, head) => (best === undefined || time(head) < time(best) ? head : best),
      undefined,
    );
    if (first === undefined) {
      return;
    }
    yield first.next.value as LogRecord;
    first.next = await first.iterator.next();
  }
}

const time = (head: { next: IteratorResult<LogRecord> }): number => (head.next.done ? Number.POSITIVE_INFINITY : head.next.value.time);

const isChosen = (source: LogSource, options: LogsOptions): boolean =>
  (options.services.length === 0 || options.services.includes(source.service)) &&
  (options.index === undefined || source.number === options.index);

/** The past from disk, then the future from the bus, without a gap and without a line twice. */
export async function* followLogs(
  input: { logs: LogStore; bus: EventBus; sources: () => readonly LogSource[]; settle: () => Promise<void>; options: LogsOptions },
  signal: AbortSignal,
): AsyncIterable<LogRecord> {
  const { options } = input;
  const numberOf = (replica: string) => input.sources().find((source) => source.replica === replica)?.number ?? 0;
  const accepts = (record: LogRecord) =>
    isChosen({ replica: record.replica, service: record.service, number: numberOf(record.replica) }, options);
  const live = input.bus.stream((event) => event.type === 'log' && accepts(event.record), signal);
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
    await live.return?.();
  }
}

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
