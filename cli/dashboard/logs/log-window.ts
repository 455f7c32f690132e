import type { LogRecord } from '../../../engine/model/events.ts';
import { entryOf, type LogEntry } from './log-entry.ts';

/** How many lines of the past are in memory at most. */
export const WINDOW_LINES = 20_000;
/** The place of the first line of a log that is read from its beginning, far below that of all others. */
const BEGINNING = -1e12;

/**
 * A part of what is on disk, older than all lines in memory. It moves through the past with the view: what does not fit any
 * more falls off at its other end, and is read again when it is wanted.
 */
export class LogWindow {
  #entries: LogEntry[] = [];
  /** The lines between its end and the first line in memory are not loaded. */
  hasGap = false;
  /** It begins with the first line on disk. */
  isAtStart = false;

  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  clear(): void {
    this.#entries = [];
    this.hasGap = false;
    this.isAtStart = false;
  }

  /** Adds the lines before its first one, oldest first. */
  addOlder(records: readonly LogRecord[]): void {
    const first = this.#entries[0]?.seq ?? 0;
    const added = records.map((record, index) => entryOf(record, first - records.length + index));
    const all = [...added, ...this.#entries];
    this.hasGap ||= all.length > WINDOW_LINES;
    this.#entries = all.slice(0, WINDOW_LINES);
  }

  /** Adds the lines after its last one. */
  addNewer(records: readonly LogRecord[]): void {
    const last = this.#entries.at(-1)?.seq ?? BEGINNING;
    const all = [...this.#entries, ...records.map((record, index) => entryOf(record, last + 1 + index))];
    this.isAtStart &&= all.length <= WINDOW_LINES;
    this.#entries = all.slice(-WINDOW_LINES);
  }

  /** Begins anew with the first lines on disk. */
  startAt(records: readonly LogRecord[]): void {
    this.clear();
    this.isAtStart = true;
    this.hasGap = true;
    this.addNewer(records);
  }

  /** How many entries have a sequence number up to `seq`. */
  countUpTo(seq: number): number {
    const at = this.#entries.findLastIndex((entry) => entry.seq <= seq);
    return at + 1;
  }
}
