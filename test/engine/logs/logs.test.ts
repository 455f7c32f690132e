import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventBus } from '../../../engine/logs/bus.ts';
import { followLogs } from '../../../engine/logs/follow-logs.ts';
import { openLogStore } from '../../../engine/logs/logs.ts';
import { readMerged } from '../../../engine/logs/read-logs.ts';
import type { LogRecord } from '../../../engine/model/events.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-logs-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const collect = async (records: AsyncIterable<LogRecord>): Promise<string[]> => {
  const lines: string[] = [];
  for await (const record of records) {
    lines.push(`${record.replica} ${record.stream} ${record.line}`);
  }
  return lines;
};

const options = { services: [], follow: false, tail: undefined, since: undefined, until: undefined, index: undefined };

test('bytes become lines, each stream on its own, whatever the chunks', async () => {
  const store = openLogStore(dir);
  const writer = await store.writer('db-1', 'db', { fresh: true });
  const live = [
    ...writer.write('stdout', Buffer.from('one\ntw'), 1),
    ...writer.write('stderr', Buffer.from('err\r\n'), 2),
    ...writer.write('stdout', Buffer.from('o\nthree'), 3),
    ...writer.flush(),
  ];
  await writer.close();
  const expected = ['db-1 stdout one', 'db-1 stderr err', 'db-1 stdout two', 'db-1 stdout three'];
  expect(live.map((record) => `db-1 ${record.stream} ${record.line}`)).toEqual(expected);
  expect(await collect(store.read('db-1', 'db', {}))).toEqual(expected);
});

test('an endless line is cut, a torn last line is passed over', async () => {
  const store = openLogStore(dir);
  const writer = await store.writer('db-1', 'db', { fresh: true });
  expect(writer.write('stdout', Buffer.alloc(200_000, 'x'), 1).map((record) => record.line.length)).toEqual([65_536, 65_536, 65_536]);
  await writer.close();
  appendFileSync(join(dir, 'db-1.jsonl'), '{"t":5,"s":"std');
  expect((await collect(store.read('db-1', 'db', {}))).length).toBe(4);
});

test('tail, since and until; a fresh log keeps the old one under another name', async () => {
  const store = openLogStore(dir);
  const writer = await store.writer('a', 'a', { fresh: true });
  for (const time of [1, 2, 3, 4]) {
    writer.write('stdout', Buffer.from(`${time}\n`), time);
  }
  await writer.close();
  expect(await collect(store.read('a', 'a', { tail: 2 }))).toEqual(['a stdout 3', 'a stdout 4']);
  expect(await collect(store.read('a', 'a', { since: 2, until: 3 }))).toEqual(['a stdout 2', 'a stdout 3']);
  await (await store.writer('a', 'a', { fresh: true })).close();
  expect(await collect(store.read('a', 'a', {}))).toEqual([]);
});

test('replicas are merged by time', async () => {
  const store = openLogStore(dir);
  for (const [name, times] of [
    ['a', [1, 4]],
    ['b', [2, 3]],
  ] as const) {
    const writer = await store.writer(name, name, { fresh: true });
    for (const time of times) {
      writer.write('stdout', Buffer.from(`${time}\n`), time);
    }
    await writer.close();
  }
  const sources = ['a', 'b'].map((name) => ({ replica: name, service: name, number: 1 }));
  expect(await collect(readMerged(store, sources, options))).toEqual(['a stdout 1', 'b stdout 2', 'b stdout 3', 'a stdout 4']);
});

test('following gives the past and then the future, nothing twice and nothing lost', async () => {
  const store = openLogStore(dir);
  const bus = new EventBus();
  const writer = await store.writer('a', 'a', { fresh: true });
  const print = (text: string) => {
    for (const record of writer.write('stdout', Buffer.from(`${text}\n`), Date.now())) {
      bus.emit({ type: 'log', record });
    }
  };
  print('past');
  const controller = new AbortController();
  const seen: string[] = [];
  const following = followLogs(
    {
      logs: store,
      bus,
      sources: () => [{ replica: 'a', service: 'a', number: 1 }],
      settle: () => writer.settled(),
      goesOn: () => true,
      options: { ...options, follow: true },
    },
    controller.signal,
  );
  for await (const record of following) {
    seen.push(record.line);
    if (seen.length === 1) {
      print('between');
      print('future');
    }
    if (record.line === 'future') {
      controller.abort();
    }
  }
  await writer.close();
  expect(seen).toEqual(['past', 'between', 'future']);
});
