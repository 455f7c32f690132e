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
  /** Whether any of the chosen replicas may still print: one is running, or an operation is under way that may start one. */
  readonly goesOn: () => boolean;
  readonly options: LogsOptions;
}

/**
 * Reads past lines from disk, then new ones from the bus, without gaps or duplicates. Ends when none of the chosen
 * replicas can print any more, as in docker compose.
 */
export async function* followLogs(input: FollowInput, signal: AbortSignal): AsyncIterable<LogRecord> {
  const { options } = input;
  const numberOf = (replica: string) => input.sources().find((source) => source.replica === replica)?.number ?? 0;
  const accepts = (record: LogRecord) =>
    isChosen({ replica: record.replica, service: record.service, number: numberOf(record.replica) }, options);
  const ending = watchEnd(input, signal);
  const live = input.bus.stream((event) => event.type === 'log' && accepts(event.record), ending.signal, { keepsOrder: true });
  const seen = new SeenLines();
  try {
    await input.settle();
    for await (const record of readMerged(input.logs, input.sources(), { ...options, onRead: (each) => void seen.isNew(each) })) {
      yield record;
    }
    for await (const event of live) {
      if (event.type !== 'log') {
        // The bus dropped lines because the reader was too slow; they are in the log files.
        yield* readMissed(input, seen);
      } else if (seen.isNew(event.record)) {
        yield event.record;
      }
    }
  } finally {
    ending.close();
    await live.return?.();
  }
}

async function* readMissed(input: FollowInput, seen: SeenLines): AsyncIterable<LogRecord> {
  await input.settle();
  const { services, follow, index } = input.options;
  const all = { services, follow, index, tail: undefined, since: undefined, until: undefined };
  for await (const record of readMerged(input.logs, input.sources(), all)) {
    // Lines without a number were written by an older hypr. They have been read from the file already, if they were wanted.
    if (record.seq !== undefined && seen.isNew(record)) {
      yield record;
    }
  }
}

/** How far each stream of each run has been read. Disk and bus carry the same lines with the same numbers, in the same order. */
class SeenLines {
  readonly #last = new Map<string, number>();

  /** True the first time a line is seen, and marks it as seen. A line without a number always counts as new. */
  isNew({ replica, stream, run, seq }: LogRecord): boolean {
    if (run === undefined || seq === undefined) {
      return true;
    }
    const key = `${replica}\0${run}\0${stream}`;
    if (seq <= (this.#last.get(key) ?? -1)) {
      return false;
    }
    this.#last.set(key, seq);
    return true;
  }
}

/** Aborts its signal together with the parent, or once nothing can print any more and everything printed is on the bus. */
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
  // Checked after the event has been handled: an operation counts as under way until its last event has been delivered.
  const soon = () => void setImmediate(() => void check().catch(() => controller.abort()));
  const close = bus.subscribe((event) => {
    if (event.type === 'replica' || event.type === 'finished') {
      soon();
    }
  });
  soon();
  return { signal: controller.signal, close };
};
