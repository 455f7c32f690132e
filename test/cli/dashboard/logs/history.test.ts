import { describe, expect, test } from 'vitest';
import { History, type PastRange } from '../../../../cli/dashboard/logs/history.ts';
import { LogBuffer } from '../../../../cli/dashboard/logs/log-buffer.ts';
import { GAP, type LogEntry } from '../../../../cli/dashboard/logs/log-entry.ts';
import { type LogView, moveAnchor, readPage } from '../../../../cli/dashboard/logs/log-view.ts';
import { WINDOW_LINES } from '../../../../cli/dashboard/logs/log-window.ts';
import type { LogRecord } from '../../../../engine/model/events.ts';
import { log } from '../../support/fake-engine.ts';

const VIEW: LogView = { replicas: undefined, filter: undefined, anchor: undefined, after: Number.NEGATIVE_INFINITY };
const ROWS = 20;

/** What `Stack.logs` gives of lines in a file. */
const disk = (lines: readonly LogRecord[]) => {
  const reads: PastRange[] = [];
  async function* read(replicas: ReadonlySet<string> | undefined, range: PastRange): AsyncGenerator<LogRecord> {
    reads.push(range);
    const chosen = lines.filter(
      ({ replica, time }) =>
        (replicas?.has(replica) ?? true) && time >= (range.since ?? 0) && time <= (range.until ?? Number.POSITIVE_INFINITY),
    );
    const left = new Map<string, number>();
    const last = [...chosen].reverse().filter(({ replica }) => {
      left.set(replica, (left.get(replica) ?? 0) + 1);
      return (left.get(replica) ?? 0) <= (range.tail ?? Number.POSITIVE_INFINITY);
    });
    yield* last.reverse();
  }
  return { read, reads };
};

const chatty = (count: number, from = 0): LogRecord[] =>
  Array.from({ length: count }, (_, index) =>
    log('web', `line ${from + index}`, { time: 1000 + from + index, run: 1, seq: 10 * (from + index) }),
  );

const setUp = (lines: readonly LogRecord[], live = 0) => {
  const buffer = new LogBuffer();
  const { read, reads } = disk(lines);
  for (const record of lines.slice(lines.length - live)) {
    buffer.append(record);
  }
  const history = new History({ buffer, read, onLoaded: () => {}, now: () => 1e9 });
  /** Looks until there is nothing more to load. */
  const settle = async (view: LogView): Promise<LogEntry[]> => {
    for (let before = -1; before !== reads.length; ) {
      before = reads.length;
      history.look(view, ROWS);
      await history.idle();
    }
    return readPage(buffer, view, ROWS);
  };
  return { buffer, history, settle, reads };
};

const texts = (entries: readonly LogEntry[]): string[] => entries.map(({ line }) => line);

describe('lines on disk', () => {
  test('a dashboard that was opened later shows what was written before, each line once', async () => {
    const { settle, reads } = setUp(chatty(100), 5);
    expect(texts(await settle(VIEW))).toEqual(chatty(20, 80).map(({ line }) => line));
    expect(reads).toHaveLength(1);
  });

  test('lines that come while it reads are not shown twice', async () => {
    const lines = chatty(100);
    const { buffer, history, settle } = setUp(lines);
    history.look(VIEW, ROWS);
    for (const record of lines.slice(-3)) {
      buffer.append(record);
    }
    await history.idle();
    expect(texts(await settle(VIEW))).toEqual(chatty(20, 80).map(({ line }) => line));
  });

  test('scrolling back meets every line down to the first, and memory holds a window of them', async () => {
    const { buffer, settle } = setUp(chatty(25_000), 1_000);
    let view = VIEW;
    const seen = new Set<string>();
    for (let step = 0; step < 4000; step += 1) {
      const page = await settle(view);
      for (const { line } of page) {
        seen.add(line);
      }
      const anchor = moveAnchor(buffer, view, -ROWS);
      if (anchor === view.anchor) {
        break;
      }
      view = { ...view, anchor };
      expect(buffer.past.entries.length).toBeLessThanOrEqual(WINDOW_LINES);
    }
    expect(seen.size).toBe(25_000);
  });

  test('from the first line on scrolling down meets every line up to the newest', async () => {
    const { buffer, history, settle } = setUp(chatty(23_000), 1_000);
    await history.toStart(VIEW);
    let view: LogView = { ...VIEW, anchor: buffer.past.entries[ROWS - 1]?.seq };
    const seen = new Set<string>();
    while (view.anchor !== undefined) {
      for (const { line } of (await settle(view)).filter((entry) => entry !== GAP)) {
        seen.add(line);
      }
      view = { ...view, anchor: moveAnchor(buffer, view, ROWS) };
    }
    for (const { line } of await settle(view)) {
      seen.add(line);
    }
    expect(seen.size).toBe(23_000);
  });

  test('a quiet replica keeps its place beside a chatty one', async () => {
    const quiet = [500, 20_000].map((at) => log('db', `quiet ${at}`, { time: 1000 + at, run: 2, seq: at }));
    const lines = [...chatty(23_000), ...quiet].sort((a, b) => a.time - b.time);
    const { buffer, settle } = setUp(lines, 100);
    let view = VIEW;
    const seen: string[] = [];
    for (;;) {
      const page = await settle(view);
      seen.unshift(...texts(page));
      const anchor = moveAnchor(buffer, view, -ROWS);
      if (anchor === view.anchor) {
        break;
      }
      view = { ...view, anchor };
    }
    const order = [...new Set(seen)].filter((line) => line !== GAP.line);
    expect(order).toHaveLength(23_002);
    expect(order[order.indexOf('quiet 500') + 1]).toMatch(/line 50[01]/);
  });

  test('a search goes on in what is on disk', async () => {
    const { history, settle } = setUp(chatty(20_000), 100);
    await settle(VIEW);
    const found = await history.findOlder(VIEW, ({ line }) => line === 'line 123', new AbortController().signal);
    expect(found).toMatchObject({ line: 'line 123' });
    expect(await history.findOlder(VIEW, ({ line }) => line === 'nowhere', new AbortController().signal)).toBeUndefined();
  });

  test('a search is left when another one begins', async () => {
    const { history, settle } = setUp(chatty(20_000), 100);
    await settle(VIEW);
    const { signal } = new AbortController();
    const first = history.findOlder(VIEW, ({ line }) => line === 'nowhere', signal);
    const second = history.findOlder(VIEW, ({ line }) => line === 'line 123', signal);
    expect(await first).toBe('left');
    expect(await second).toMatchObject({ line: 'line 123' });
  });

  test('a search is left by a jump to the first lines, which are shown', async () => {
    const { history, settle, buffer } = setUp(chatty(20_000), 100);
    await settle(VIEW);
    const search = history.findOlder(VIEW, ({ line }) => line === 'nowhere', new AbortController().signal);
    await history.toStart(VIEW);
    expect(await search).toBe('left');
    expect(buffer.past.isAtStart).toBe(true);
  });

  test('a filter without matches does not read everything', async () => {
    const { settle, reads } = setUp(chatty(25_000));
    await settle({ ...VIEW, filter: { text: 'nowhere', inverse: false } });
    expect(reads.length).toBeLessThan(10);
  });
});
