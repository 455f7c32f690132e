import type { LogRecord } from '../model/events.ts';
import type { LogsOptions } from '../model/types.ts';
import type { LogStore, ReadOptions } from './logs.ts';

export interface LogSource {
  readonly replica: string;
  readonly service: string;
  readonly number: number;
  /** When the replica was created, in milliseconds: what was printed before is of one that it replaced. Absent: all. */
  readonly createdAt?: number;
}

interface MergeOptions extends LogsOptions, Pick<ReadOptions, 'onRead'> {
  /** When the stack itself was created: also with `earlier` nothing is told of a removed stack of that name. */
  readonly stackCreatedAt?: number | undefined;
}

/** Reads the logs of the chosen replicas, and of those that are chosen by name and are gone, merged by time. Each file is already in order, so this merges and does not sort. */
export async function* readMerged(logs: LogStore, sources: readonly LogSource[], options: MergeOptions): AsyncIterable<LogRecord> {
  const chosen = [...sources, ...(await goneSources(logs, sources, options))].filter((source) => isChosen(source, options));
  const heads = await Promise.all(
    chosen.map(async (source) => {
      const iterator = logs
        .read(source.replica, source.service, {
          ...options,
          createdAt: options.earlier === true ? earliest(source, options) : source.createdAt,
        })
        [Symbol.asyncIterator]();
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

/** A replica may be older than its stack's record, which a repair writes anew. */
const earliest = ({ createdAt }: LogSource, { stackCreatedAt }: MergeOptions): number | undefined =>
  createdAt === undefined || stackCreatedAt === undefined ? undefined : Math.min(createdAt, stackCreatedAt);

/** Logs that are asked for by the name of a replica that was removed: a one-off, one of a larger scale, one of a stack that is down. */
const goneSources = async (logs: LogStore, sources: readonly LogSource[], { services }: LogsOptions): Promise<LogSource[]> => {
  const missing = services.filter((name) => !sources.some(({ replica, service }) => name === replica || name === service));
  const names = missing.length === 0 ? [] : await logs.names();
  return names.filter((name) => missing.includes(name)).map((name) => ({ replica: name, service: name, number: 0 }));
};

const time = (head: { next: IteratorResult<LogRecord> }): number => (head.next.done ? Number.POSITIVE_INFINITY : head.next.value.time);

export const isChosen = (source: LogSource, options: LogsOptions): boolean =>
  (options.services.length === 0 || options.services.includes(source.service) || options.services.includes(source.replica)) &&
  (options.index === undefined || source.number === options.index);
