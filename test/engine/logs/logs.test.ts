import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventBus } from '../../../engine/logs/bus.ts';
import { followLogs } from '../../../engine/logs/follow-logs.ts';
import { type LogStore, openLogStore } from '../../../engine/logs/logs.ts';
import { newRun } from '../../../engine/logs/new-run.ts';
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

const offsets = { stdout: 0, stderr: 0 };
/** The next bytes of a stream, as a guest gives them. */
const chunk = (stream: 'stdout' | 'stderr', data: Buffer, time: number) => {
  offsets[stream] += data.length;
  return { stream, data, time, offset: offsets[stream] - data.length };
};
const open = async (store: LogStore, name: string) => {
  const writer = await store.writer(name, name.replace(/-\d+$/, ''));
  Object.assign(offsets, { stdout: 0, stderr: 0 });
  await writer.begin(newRun(), { resumed: false });
  return writer;
};

const options = { services: [], follow: false, tail: undefined, since: undefined, until: undefined, index: undefined };

test('bytes become lines, each stream on its own, whatever the chunks', async () => {
  const store = openLogStore(dir);
  const writer = await open(store, 'db-1');
  const live = [
    ...writer.write(chunk('stdout', Buffer.from('one\ntw'), 1)),
    ...writer.write(chunk('stderr', Buffer.from('err\r\n'), 2)),
    ...writer.write(chunk('stdout', Buffer.from('o\nthree'), 3)),
    ...writer.flush(),
  ];
  await writer.close();
  const expected = ['db-1 stdout one', 'db-1 stderr err', 'db-1 stdout two', 'db-1 stdout three'];
  expect(live.map((record) => `db-1 ${record.stream} ${record.line}`)).toEqual(expected);
  expect(await collect(store.read('db-1', 'db', {}))).toEqual(expected);
});

test('a log that the writer of a hook has put aside is not replaced by the next one', async () => {
  const store = openLogStore(dir);
  const service = await open(store, 'db-1');
  const line = (text: string) => Buffer.from(`${text.padEnd(60_000, '.')}\n`);
  let at = 0;
  const fill = (writer: typeof service, text: string, count: number, from = 0) => {
    at = from;
    for (let index = 0; index < count; index++) {
      writer.write({ stream: 'stdout', data: line(text), time: 1, offset: at });
      at += 60_001;
    }
    return writer.settled();
  };
  await fill(service, 'first', 1_000);
  const hook = await store.writer('db-1', 'db');
  await hook.begin(newRun(), { resumed: false });
  await fill(hook, 'hook', 200);
  await fill(service, 'last', 200, 1_000 * 60_001);
  await Promise.all([service.close(), hook.close()]);
  const lines = (await collect(store.read('db-1', 'db', {}))).map((each) => /^db-1 stdout (\w+)/.exec(each)?.[1]);
  expect(['first', 'hook', 'last'].map((word) => lines.filter((each) => each === word).length)).toEqual([1_000, 200, 200]);
});

test('an endless line is cut, a torn last line is passed over', async () => {
  const store = openLogStore(dir);
  const writer = await open(store, 'db-1');
  expect(writer.write(chunk('stdout', Buffer.alloc(200_000, 'x'), 1)).map((record) => record.line.length)).toEqual([
    65_536, 65_536, 65_536,
  ]);
  await writer.close();
  appendFileSync(join(dir, 'db-1.jsonl'), '{"t":5,"s":"std');
  expect((await collect(store.read('db-1', 'db', {}))).length).toBe(4);
});

test('tail, since and until; the runs of one replica alone; nothing after the stack was removed', async () => {
  const store = openLogStore(dir);
  const writer = await open(store, 'a');
  for (const time of [1, 2, 3, 4]) {
    writer.write(chunk('stdout', Buffer.from(`${time}\n`), time));
  }
  await writer.close();
  expect(await collect(store.read('a', 'a', { tail: 2 }))).toEqual(['a stdout 3', 'a stdout 4']);
  expect(await collect(store.read('a', 'a', { since: 2, until: 3 }))).toEqual(['a stdout 2', 'a stdout 3']);
  const createdAt = newRun();
  const successor = await open(store, 'a');
  successor.write(chunk('stdout', Buffer.from('5\n'), 5));
  await successor.close();
  expect(await collect(store.read('a', 'a', { createdAt }))).toEqual(['a stdout 5']);
  expect(await collect(store.read('a', 'a', { tail: 2 }))).toEqual(['a stdout 4', 'a stdout 5']);
  await store.clear();
  expect(await collect(store.read('a', 'a', {}))).toEqual([]);
  expect(await store.names()).toEqual([]);
});

test('replicas are merged by time', async () => {
  const store = openLogStore(dir);
  for (const [name, times] of [
    ['a', [1, 4]],
    ['b', [2, 3]],
  ] as const) {
    const writer = await open(store, name);
    for (const time of times) {
      writer.write(chunk('stdout', Buffer.from(`${time}\n`), time));
    }
    await writer.close();
  }
  const sources = ['a', 'b'].map((name) => ({ replica: name, service: name, number: 1 }));
  expect(await collect(readMerged(store, sources, options))).toEqual(['a stdout 1', 'b stdout 2', 'b stdout 3', 'a stdout 4']);
});

test('following gives the past and then the future, nothing twice and nothing lost', async () => {
  const store = openLogStore(dir);
  const bus = new EventBus();
  const writer = await open(store, 'a');
  const print = (text: string) => {
    for (const record of writer.write(chunk('stdout', Buffer.from(`${text}\n`), Date.now()))) {
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

test('a replica is chosen by its name, one that is gone too; without names only those that are there', async () => {
  const store = openLogStore(dir);
  for (const name of ['web-1', 'web-2', 'web-run-1f2e', 'web-run-gone']) {
    const writer = await open(store, name);
    writer.write(chunk('stdout', Buffer.from(`of ${name}\n`), 1));
    await writer.close();
  }
  const sources = ['web-1', 'web-2', 'web-run-1f2e'].map((replica, index) => ({ replica, service: 'web', number: index + 1 }));
  const read = (...services: string[]) => collect(readMerged(store, sources, { ...options, services }));
  expect(await read('web-2')).toEqual(['web-2 stdout of web-2']);
  expect(await read('web-run-gone', 'web-1')).toEqual(
    expect.arrayContaining(['web-run-gone stdout of web-run-gone', 'web-1 stdout of web-1']),
  );
  expect(await read('web')).toHaveLength(3);
  expect(await read()).toHaveLength(3);
  expect(await read('../web-1')).toEqual([]);
});

test('what a stack of that name printed before it was removed is not told as earlier lines', async () => {
  const store = openLogStore(dir);
  const runs = { removed: 1_000, replaced: 3_000, now: 5_000 };
  for (const [text, run] of Object.entries(runs)) {
    const writer = await store.writer('db-1', 'db');
    await writer.begin(run, { resumed: false });
    writer.write({ stream: 'stdout', data: Buffer.from(`${text}\n`), time: run, offset: 0 });
    await writer.close();
  }
  const source = { replica: 'db-1', service: 'db', number: 1, createdAt: 5_000 };
  const read = (more: object) => collect(readMerged(store, [source], { ...options, ...more }));
  expect(await read({ earlier: true, stackCreatedAt: 2_000 })).toEqual(['db-1 stdout replaced', 'db-1 stdout now']);
  expect(await read({ earlier: true, stackCreatedAt: 9_000 })).toEqual(['db-1 stdout now']);
  expect(await read({ stackCreatedAt: 2_000 })).toEqual(['db-1 stdout now']);
});
