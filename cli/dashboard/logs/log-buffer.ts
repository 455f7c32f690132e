import type { LogRecord } from '../../../engine/model/events.ts';
import { entryOf, GAP, type LineKind, type LogEntry } from './log-entry.ts';
import { LogWindow } from './log-window.ts';

export interface BufferLimits {
  readonly linesPerReplica: number;
  /** UTF-16 units of all lines together. */
  readonly total: number;
}

const DEFAULT_LIMITS: BufferLimits = { linesPerReplica: 10_000, total: 25_000_000 };
const MARKS = '';

/**
 * The last lines of every replica, outside React. A ring for each, so that a chatty one does not push a
 * quiet one out; views read them merged by sequence number, backwards or forwards from any point.
 */
export class LogBuffer {
  /** Older lines, from disk. */
  readonly past = new LogWindow();
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

  append(record: LogRecord): void {
    this.#add(entryOf(record, this.#next));
  }

  /** A line that no program wrote. */
  note(entry: { readonly time: number; readonly replica: string; readonly line: string; readonly kind: LineKind }): void {
    this.#add({ ...entry, seq: this.#next });
  }

  /** A line of the user's between the others, part of every view. */
  mark(time: number): void {
    this.note({ time, replica: MARKS, line: '', kind: 'mark' });
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
        break;
      }
      best.index -= 1;
      yield entry;
    }
    const { entries } = this.past;
    if (this.past.hasGap && from >= GAP.seq) {
      yield GAP;
    }
    for (let index = this.past.countUpTo(from) - 1; index >= 0; index -= 1) {
      const entry = entries[index];
      if (entry !== undefined && isOf(entry, replicas)) {
        yield entry;
      }
    }
  }

  /** Lines with sequence numbers above `after`, oldest first. */
  *forwards(replicas: ReadonlySet<string> | undefined, after: number): Generator<LogEntry> {
    const { entries } = this.past;
    for (let index = this.past.countUpTo(after); index < entries.length; index += 1) {
      const entry = entries[index];
      if (entry !== undefined && isOf(entry, replicas)) {
        yield entry;
      }
    }
    if (this.past.hasGap && after < GAP.seq) {
      yield GAP;
    }
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
      this.#drop(ring);
    }
    while (this.#size > this.#limits.total) {
      this.#drop(this.#longest());
    }
  }

  #drop(ring: Ring): void {
    this.#size -= ring.shift()?.line.length ?? this.#size;
    this.past.hasGap ||= this.past.entries.length > 0;
  }

  #longest(): Ring {
    return [...this.#rings.values()].reduce((a, b) => (b.length > a.length ? b : a));
  }
}

const isOf = (entry: LogEntry, replicas: ReadonlySet<string> | undefined): boolean => replicas === undefined || replicas.has(entry.replica);

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
