import type { LogBuffer } from './log-buffer.ts';
import { GAP, type LogEntry } from './log-entry.ts';

export interface LogFilter {
  readonly text: string;
  /** Show the lines that do not contain it. */
  readonly inverse: boolean;
}

/** The filter for lines, and the position of the view. */
export interface LogView {
  readonly replicas: ReadonlySet<string> | undefined;
  readonly filter: LogFilter | undefined;
  /** Sequence number of the lowest line; undefined follows the newest. */
  readonly anchor: number | undefined;
  /** Lines up to here were cleared away; -Infinity: none. */
  readonly after: number;
}

// A frame checks no more lines than this, so that a filter without matches cannot block the keys.
const MAX_SCAN = 30_000;

/** The last `count` lines of a view, oldest first. */
export const readPage = (buffer: LogBuffer, view: LogView, count: number): LogEntry[] => {
  const page: LogEntry[] = [];
  let scanned = 0;
  for (const entry of buffer.backwards(view.replicas, view.anchor ?? buffer.newest)) {
    scanned += 1;
    if (entry.seq <= view.after || page.length >= count || scanned > MAX_SCAN) {
      break;
    }
    if (passes(entry, view.filter)) {
      page.push(entry);
    }
  }
  return page.length === 0 && view.anchor !== undefined ? readOldest(buffer, view, count) : page.reverse();
};

/** The lines of a paused view were dropped from the ring: shows the oldest ones that are left. */
const readOldest = (buffer: LogBuffer, view: LogView, count: number): LogEntry[] => {
  const page: LogEntry[] = [];
  let scanned = 0;
  for (const entry of buffer.forwards(view.replicas, view.after)) {
    scanned += 1;
    if (page.length >= count || scanned > MAX_SCAN) {
      break;
    }
    if (passes(entry, view.filter)) {
      page.push(entry);
    }
  }
  return page;
};

/** The position of the view after moving by `lines` (negative: back); undefined if it reached the newest line. */
export const moveAnchor = (buffer: LogBuffer, view: LogView, lines: number): number | undefined => {
  if (lines < 0) {
    const page = readPage(buffer, view, 1 - lines);
    return page[0]?.seq ?? view.anchor;
  }
  if (view.anchor === undefined) {
    return undefined;
  }
  let anchor = view.anchor;
  let left = lines;
  let scanned = 0;
  for (const entry of buffer.forwards(view.replicas, view.anchor)) {
    scanned += 1;
    // What is behind a gap is loaded first.
    if (left === 0 || entry === GAP || scanned > MAX_SCAN) {
      return anchor;
    }
    if (passes(entry, view.filter)) {
      anchor = entry.seq;
      left -= 1;
    }
  }
  return undefined;
};

/** The nearest line that contains `text`, older (`-1`) or newer (`1`) than the view's lowest; undefined: none. */
export const findMatch = (buffer: LogBuffer, view: LogView, text: string, direction: -1 | 1): number | undefined => {
  const here = view.anchor ?? buffer.newest + 1;
  const entries = direction < 0 ? buffer.backwards(view.replicas, here - 1) : buffer.forwards(view.replicas, here);
  for (const entry of entries) {
    if (entry.seq <= view.after) {
      return undefined;
    }
    if (contains(entry.line, text) && passes(entry, view.filter)) {
      return entry.seq;
    }
  }
  return undefined;
};

/** The number of new lines below a paused view, up to 9999. */
export const countNewer = (buffer: LogBuffer, view: LogView): number => {
  let count = 0;
  if (view.anchor !== undefined) {
    for (const entry of buffer.forwards(view.replicas, view.anchor)) {
      count += passes(entry, view.filter) ? 1 : 0;
      if (count >= 9999) {
        break;
      }
    }
  }
  return count;
};

/** Case only matters if the text contains capitals. */
export const contains = (line: string, text: string): boolean =>
  /\p{Lu}/u.test(text) ? line.includes(text) : line.toLowerCase().includes(text);

const passes = (entry: LogEntry, filter: LogFilter | undefined): boolean =>
  filter === undefined || entry.kind === 'mark' || entry.kind === 'gap' || contains(entry.line, filter.text) !== filter.inverse;

/** How many lines of the view contain `text`, and which of them, counted from the newest, the view stands on; 0: none. */
export const countMatches = (
  buffer: LogBuffer,
  view: LogView,
  text: string,
): { readonly at: number; readonly total: number; readonly more: boolean } => {
  let total = 0;
  let at = 0;
  let scanned = 0;
  for (const entry of buffer.backwards(view.replicas, buffer.newest)) {
    scanned += 1;
    if (entry.seq <= view.after || scanned > MAX_SCAN) {
      break;
    }
    if (contains(entry.line, text) && passes(entry, view.filter)) {
      total += 1;
      at = entry.seq === view.anchor ? total : at;
    }
  }
  return { at, total, more: scanned > MAX_SCAN || !buffer.past.isAtStart };
};
