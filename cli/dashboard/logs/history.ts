import type { LogRecord } from '../../../engine/model/events.ts';
import type { LogBuffer } from './log-buffer.ts';
import { GAP, type LogEntry } from './log-entry.ts';
import { type LogView, readPage } from './log-view.ts';

export interface PastRange {
  readonly since?: number;
  readonly until?: number;
  /** The last lines of each replica only. */
  readonly tail?: number;
}

export interface HistoryOptions {
  readonly buffer: LogBuffer;
  /** Lines on disk of the replicas (undefined: all), merged by time. */
  readonly read: (replicas: ReadonlySet<string> | undefined, range: PastRange) => AsyncIterable<LogRecord>;
  /** Something was loaded. */
  readonly onLoaded: () => void;
  readonly now: () => number;
}

const CHUNK = 2_000;
/** How many reads one look at the past may take, when a filter leaves nothing of them. */
const MOST_READS = 8;

/** Loads lines from disk as the view needs them: those before the window on the past, those after it, and the very first ones. */
export class History {
  readonly #options: HistoryOptions;
  #scope: string | undefined;
  #busy: Promise<void> | undefined;
  #reads = 0;
  /** The search that may go on; every other one has been left. */
  #search: symbol | undefined;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** After each change of the view of `rows` lines: loads what it lacks. */
  look(view: LogView, rows: number): void {
    const { buffer } = this.#options;
    this.#enter(view);
    if (this.#search !== undefined) {
      // It loads what it needs itself, and would miss lines that are loaded or dropped beside it.
      return;
    }
    const { past } = buffer;
    // One more than is shown: what is next is loaded before it is wanted.
    const page = readPage(buffer, view, rows + 1);
    const isInPast = view.anchor !== undefined && view.anchor < GAP.seq;
    if (isInPast && past.hasGap && past.countUpTo(view.anchor ?? 0) + rows > past.entries.length) {
      this.#run(() => this.#loadNewer(view));
    } else if (!isInPast && page.includes(GAP)) {
      // Comes from below: begins anew with what is right before the lines in memory.
      past.clear();
      this.#run(() => this.#loadOlder(view));
    } else if (page.length <= rows && view.after < GAP.seq && !past.isAtStart && this.#reads < MOST_READS) {
      this.#run(() => this.#loadOlder(view));
    } else if (page.length > rows) {
      this.#reads = 0;
    }
  }

  /** Resolves when nothing is being read. */
  async idle(): Promise<void> {
    while (this.#busy !== undefined) {
      await this.#busy;
    }
  }

  /** The user wants more than what a look loads by itself. */
  goOn(): void {
    this.#reads = 0;
  }

  /** Shows the first lines on disk: resolves when they are in the window. */
  async toStart(view: LogView): Promise<void> {
    this.#search = undefined;
    this.#enter(view);
    await this.idle();
    if (!this.#options.buffer.past.isAtStart) {
      this.#run(() => this.#loadFirst(view));
      await this.idle();
    }
  }

  /**
   * Loads older lines until one of them is wanted; resolves with it, undefined when there is none, or `left` when another search,
   * a jump to the start or a view of other replicas took its place.
   */
  async findOlder(view: LogView, wanted: (entry: LogEntry) => boolean, signal: AbortSignal): Promise<LogEntry | 'left' | undefined> {
    const { past } = this.#options.buffer;
    this.#enter(view);
    const own = Symbol('search');
    this.#search = own;
    try {
      await this.idle();
      if (this.#search === own && past.hasGap && (view.anchor ?? GAP.seq) >= GAP.seq) {
        // The window is on the first lines; what is between them and the view is older, too.
        past.clear();
      }
      while (this.#search === own && !past.isAtStart && !signal.aborted) {
        const before = past.entries[0]?.seq ?? 0;
        this.#run(() => this.#loadOlder(view));
        await this.idle();
        const found = past.entries.filter((entry) => entry.seq < before).findLast(wanted);
        if (this.#search === own && found !== undefined) {
          return found;
        }
      }
      return this.#search === own && !signal.aborted ? undefined : 'left';
    } finally {
      if (this.#search === own) {
        this.#search = undefined;
      }
    }
  }

  /** The window is that of the replicas in view. */
  #enter({ replicas }: LogView): void {
    const scope = replicas === undefined ? '*' : [...replicas].sort().join(' ');
    if (scope !== this.#scope) {
      this.#scope = scope;
      this.#search = undefined;
      this.#reads = 0;
      this.#options.buffer.past.clear();
    }
  }

  #run(work: () => Promise<void>): void {
    this.#busy ??= work()
      // What cannot be read stays unseen; the lines in memory are shown.
      .catch(() => {
        this.#options.buffer.past.isAtStart = true;
      })
      .finally(() => {
        this.#busy = undefined;
        this.#options.onLoaded();
      });
  }

  async #loadOlder(view: LogView): Promise<void> {
    const { buffer, read, now } = this.#options;
    const { past } = buffer;
    this.#reads += 1;
    const until = past.entries[0]?.time ?? knownFrom(buffer, view).oldest ?? now();
    const records: LogRecord[] = [];
    const counts = new Map<string, { first: number; count: number }>();
    for await (const record of read(view.replicas, { until, tail: CHUNK })) {
      const seen = counts.get(record.replica);
      counts.set(record.replica, { first: seen?.first ?? record.time, count: (seen?.count ?? 0) + 1 });
      records.push(record);
    }
    // A replica of which not everything was read has older lines: those of others from before them come with these.
    const full = [...counts.values()].filter(({ count }) => count >= CHUNK);
    const from = Math.max(Number.NEGATIVE_INFINITY, ...full.map(({ first }) => first));
    // Known now: lines may have come while this was read.
    const known = knownFrom(buffer, view);
    const kept = records.filter((record) => record.time >= from && !known.has(record));
    past.addOlder(kept);
    past.isAtStart = full.length === 0 || kept.length === 0;
  }

  async #loadFirst(view: LogView): Promise<void> {
    const { buffer, read } = this.#options;
    buffer.past.clear();
    const { records, met } = await take(read(view.replicas, {}), () => knownFrom(buffer, view, true));
    buffer.past.startAt(records);
    buffer.past.hasGap = !met;
  }

  async #loadNewer(view: LogView): Promise<void> {
    const { buffer, read } = this.#options;
    const last = buffer.past.entries.at(-1);
    const inWindow = knownUpTo(buffer.past.entries);
    const since = last?.time ?? 0;
    const fresh = filterOut(read(view.replicas, { since }), inWindow);
    const { records, met } = await take(fresh, () => knownFrom(buffer, view, true));
    buffer.past.addNewer(records);
    buffer.past.hasGap = !met;
  }
}

/** The first records, until one that is in memory; `met`: there was one, or nothing more. */
const take = async (source: AsyncIterable<LogRecord>, inMemory: () => Known): Promise<{ records: LogRecord[]; met: boolean }> => {
  const records: LogRecord[] = [];
  const known = inMemory();
  let isFull = false;
  for await (const record of source) {
    if (known.has(record)) {
      break;
    }
    records.push(record);
    isFull = records.length >= CHUNK;
    if (isFull) {
      break;
    }
  }
  // Lines may have come while this was read.
  const end = records.findIndex(inMemory().has);
  return { records: end === -1 ? records : records.slice(0, end), met: !isFull || end !== -1 };
};

async function* filterOut(source: AsyncIterable<LogRecord>, isKnown: (record: LogRecord) => boolean): AsyncIterable<LogRecord> {
  for await (const record of source) {
    if (!isKnown(record)) {
      yield record;
    }
  }
}

const streamOf = (entry: { replica: string; run?: number | undefined }, stream: string): string =>
  `${entry.replica}\0${entry.run}\0${stream}`;

interface Known {
  /** The time from which on all is in memory; undefined: nothing is. */
  readonly oldest: number | undefined;
  readonly has: (record: LogRecord) => boolean;
}

/** What is in memory (`only`: without the window), by the first line of each stream of each run. */
const knownFrom = (buffer: LogBuffer, view: LogView, only = false): Known => {
  const first = new Map<string, number>();
  const times = new Map<string, number>();
  for (const entry of buffer.forwards(view.replicas, only ? GAP.seq : Number.NEGATIVE_INFINITY)) {
    if (entry.kind !== 'stdout' && entry.kind !== 'stderr') {
      continue;
    }
    times.set(entry.replica, Math.min(times.get(entry.replica) ?? entry.time, entry.time));
    const key = streamOf(entry, entry.kind);
    if (entry.position !== undefined && !first.has(key)) {
      first.set(key, entry.position);
    }
  }
  const oldest = times.size === 0 ? undefined : Math.max(...times.values());
  const has = (record: LogRecord): boolean => {
    const from = first.get(streamOf(record, record.stream));
    // Lines without a number were written by an older hypr.
    return record.seq === undefined
      ? record.time >= (times.get(record.replica) ?? Number.POSITIVE_INFINITY)
      : record.seq >= (from ?? Number.POSITIVE_INFINITY);
  };
  return { oldest, has };
};

/** What a window has, by the last line of each stream of each run. */
const knownUpTo = (entries: readonly LogEntry[]): ((record: LogRecord) => boolean) => {
  const last = new Map<string, number>();
  for (const entry of entries) {
    last.set(streamOf(entry, entry.kind), entry.position ?? 0);
  }
  return (record) => record.seq !== undefined && record.seq <= (last.get(streamOf(record, record.stream)) ?? -1);
};
