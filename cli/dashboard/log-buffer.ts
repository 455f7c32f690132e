import type { LogRecord } from '../../engine/model/events.ts';

export interface LogEntry {
  /** Counts all lines of the stack, in the order they came. */
  readonly seq: number;
  readonly time: number;
  /** Empty for a mark the user made. */
  readonly replica: string;
  readonly line: string;
}

export interface BufferLimits {
  readonly linesPerReplica: number;
  /** UTF-16 units of all lines together. */
  readonly total: number;
}

const DEFAULT_LIMITS: BufferLimits = { linesPerReplica: 10_000, total: 25_000_000 };
const MAX_LINE = 16_384;
const MARKS = '';

/**
 * The last lines of every replica, outside React. A ring for each, so that a chatty one does not push a
 * quiet one out; views read them merged by sequence number, backwards or forwards from any point.
 */
export class LogBuffer {
  readonly #limits: BufferLimits;
  readonly #rings = new Map<string, Ring>();
  #next = 1;
  #size = 0;

  constructor(limits: BufferLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  /** The sequence number of the newest line; 0 when there is none. */
  get newest(): number {
    return this.#next - 1;
  }

  append(record: Pick<LogRecord, 'time' | 'replica' | 'line'>): void {
    const line = record.line.length > MAX_LINE ? `${record.line.slice(0, MAX_LINE)}…` : record.line;
    this.#add({ seq: this.#next, time: record.time, replica: record.replica, line });
  }

  /** A line of the user's between the others, part of every view. */
  mark(time: number): void {
    this.#add({ seq: this.#next, time, replica: MARKS, line: '' });
  }

  /** Lines with sequence numbers up to `from`, newest first. `replicas` undefined: all. */
  *backwards(replicas: ReadonlySet<string> | undefined, from: number): Generator<LogEntry> {
    const cursors = this.#select(replicas).map((ring) => ({ ring, index: ring.countUpTo(from) - 1 }));
    for (;;) {
      let best: { ring: Ring; index: number } | undefined;
      let entry: LogEntry | undefined;
      for (const cursor of cursors) {
        const candidate = cursor.ring.at(cursor.index);
        if (candidate && (entry === undefined || candidate.seq > entry.seq)) {
          best = cursor;
          entry = candidate;
        }
      }
      if (best === undefined || entry === undefined) {
        return;
      }
      best.index -= 1;
      yield entry;
    }
  }

  /** Lines with sequence numbers above `after`, oldest first. */
  *forwards(replicas: ReadonlySet<string> | undefined, after: number): Generator<LogEntry> {
    const cursors = this.#select(replicas).map((ring) => ({ ring, index: ring.countUpTo(after) }));
    for (;;) {
      let best: { ring: Ring; index: number } | undefined;
      let entry: LogEntry | undefined;
      for (const cursor of cursors) {
        const candidate = cursor.ring.at(cursor.index);
        if (candidate && (entry === undefined || candidate.seq < entry.seq)) {
          best = cursor;
          entry = candidate;
        }
      }
      if (best === undefined || entry === undefined) {
        return;
      }
      best.index += 1;
      yield entry;
    }
  }

  #select(replicas: ReadonlySet<string> | undefined): Ring[] {
    return [...this.#rings].filter(([name]) => replicas === undefined || name === MARKS || replicas.has(name)).map(([, ring]) => ring);
  }

  #add(entry: LogEntry): void {
    this.#next += 1;
    const ring = this.#rings.get(entry.replica) ?? new Ring();
    this.#rings.set(entry.replica, ring);
    ring.push(entry);
    this.#size += entry.line.length;
    if (ring.length > this.#limits.linesPerReplica) {
      this.#size -= ring.shift()?.line.length ?? 0;
    }
    while (this.#size > this.#limits.total) {
      this.#size -= this.#longest().shift()?.line.length ?? this.#size;
    }
  }

  #longest(): Ring {
    return [...this.#rings.values()].reduce((a, b) => (b.length > a.length ? b : a));
  }
}

/** A queue over an array whose dead head is cut off now and then: push, shift and index cost O(1). */
class Ring {
  #entries: Array<LogEntry | undefined> = [];
  #head = 0;

  get length(): number {
    return this.#entries.length - this.#head;
  }

  push(entry: LogEntry): void {
    this.#entries.push(entry);
  }

  shift(): LogEntry | undefined {
    const entry = this.#entries[this.#head];
    this.#entries[this.#head] = undefined;
    this.#head += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }

  at(index: number): LogEntry | undefined {
    return index < 0 ? undefined : this.#entries[this.#head + index];
  }

  /** How many entries have a sequence number up to `seq`. */
  countUpTo(seq: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.at(middle)?.seq ?? 0) <= seq) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
