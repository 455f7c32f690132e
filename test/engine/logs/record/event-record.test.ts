import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EventBus } from '../../../../engine/logs/bus.ts';
import { followEvents } from '../../../../engine/logs/record/follow-events.ts';
import { keepEvents } from '../../../../engine/logs/record/keep-events.ts';
import { recordEvent } from '../../../../engine/logs/record/record-event.ts';
import type { RecordedEvent } from '../../../../engine/model/events.ts';
import { replica } from '../../../cli/support/fake-engine.ts';

let folder = '';
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'hypr-events-')), 'events');
});
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

const event = (id: string, time = Date.now(), label = ''): RecordedEvent => ({
  ...{ time, type: 'container', action: 'start', id, stack: 'shop', service: 'web' },
  attributes: { name: id, image: 'web', label },
});

const read = async (options: { since?: number; until?: number } = {}, most = Number.POSITIVE_INFINITY): Promise<string[]> => {
  const over = new AbortController();
  const ids: string[] = [];
  for await (const { id } of followEvents(folder, { ...options, signal: over.signal })) {
    ids.push(id);
    if (ids.length >= most) {
      over.abort();
    }
  }
  return ids;
};

describe('the record of events', () => {
  test('has what happened between two times, both included, and ends at once', async () => {
    for (const time of [1000, 2000, 3000, 4000]) {
      recordEvent(folder, event(`at ${time}`, time));
    }
    expect(await read({ since: 2000, until: 3000 })).toEqual(['at 2000', 'at 3000']);
    expect(await read({ until: 1000 })).toEqual(['at 1000']);
    expect(await read({ since: 4001, until: 5000 })).toEqual([]);
  });

  test('goes on with what happens, each event once and in order, and ends at a later time', async () => {
    recordEvent(folder, event('before', 1000));
    const following = read({ since: 1, until: Date.now() + 60_000 }, 3);
    const short = read({ since: 1, until: Date.now() + 100 });
    const onlyNew = read({}, 2);
    recordEvent(folder, event('one'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    recordEvent(folder, event('two'));
    expect(await onlyNew).toEqual(['one', 'two']);
    expect(await following).toEqual(['before', 'one', 'two']);
    expect((await short)[0]).toBe('before');
  });

  test('tells all of the past since 0, and only what comes without a time', async () => {
    recordEvent(folder, event('before', 1000));
    const all = read({ since: 0 }, 2);
    const onlyNew = read({}, 1);
    recordEvent(folder, event('after'));
    expect(await all).toEqual(['before', 'after']);
    expect(await onlyNew).toEqual(['after']);
  });

  test('tells nothing more after the abort, nor of before in its last reading', async () => {
    for (const id of ['a', 'b', 'c']) {
      recordEvent(folder, event(id, 1000));
    }
    expect(await read({ since: 1 }, 1)).toEqual(['a']);
    const late = read({ since: Date.now() - 1000, until: Date.now() + 200 });
    recordEvent(folder, event('long ago', 1000));
    expect(await late).toEqual([]);
  });

  test('is made room for on a full disk: the older file goes', () => {
    mkdirSync(folder);
    writeFileSync(join(folder, '1.jsonl'), 'x\n'.repeat(1000));
    // Has space for nothing.
    symlinkSync('/dev/full', join(folder, '2.jsonl'));
    expect(() => recordEvent(folder, event('one'))).not.toThrow();
    expect(readdirSync(folder)).toEqual(['2.jsonl']);
  });

  test('with a past end needs no folder, and makes none', async () => {
    expect(await read({ since: 1, until: 1000 })).toEqual([]);
    expect(() => statSync(folder)).toThrow('ENOENT');
  });

  test('is bounded: the oldest go, and a follower misses nothing while files change', async () => {
    const following = read({}, 300);
    for (let number = 0; number < 300; number += 1) {
      recordEvent(folder, event(`${number}`, undefined, 'x'.repeat(50_000)));
      if (number % 20 === 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    expect(await following).toEqual(Array.from({ length: 300 }, (_, number) => `${number}`));
    const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
    expect(sizes.length).toBe(2);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(4.2 * 1024 * 1024);
    expect((await read({ until: Date.now() })).at(-1)).toBe('299');
  });

  test('passes over a torn line, and keeps of labels that are too long the name', async () => {
    recordEvent(folder, event('first', 1));
    appendFileSync(join(folder, '1.jsonl'), 'null\n[]\n{}\n\n{"time":1,"ty');
    recordEvent(folder, event('large', 2, 'x'.repeat(1_000_000)));
    expect(await read({ until: 3 })).toEqual(['first', 'large']);
    expect(statSync(join(folder, '1.jsonl')).size).toBeLessThan(2000);
  });

  test('is for its user alone, and one that cannot be written stops nobody', () => {
    recordEvent(folder, event('one'));
    expect([statSync(folder).mode & 0o777, statSync(join(folder, '1.jsonl')).mode & 0o777]).toEqual([0o700, 0o600]);
    expect(() => recordEvent(join(folder, '1.jsonl', 'nowhere'), event('two'))).not.toThrow();
  });

  test('gets what a stack’s supervisor tells, without what docker has not', async () => {
    const bus = new EventBus();
    const over = keepEvents(bus, { folder, stack: 'shop', projectLabels: () => ({ 'com.docker.compose.project': 'shop' }) });
    const machine = replica({ service: 'web', exitCode: 7, labels: { a: 'b' } });
    for (const action of ['create', 'start', 'update', 'listening', 'die'] as const) {
      bus.emit({ type: 'replica', action, replica: machine });
    }
    bus.emit({ type: 'warning', message: 'nothing of docker’s' });
    over();
    bus.emit({ type: 'replica', action: 'destroy', replica: machine });
    const found: RecordedEvent[] = [];
    for await (const each of followEvents(folder, { until: Date.now(), signal: new AbortController().signal })) {
      found.push(each);
    }
    expect(found.map(({ action, stack, service }) => [action, stack, service])).toEqual([
      ['create', 'shop', 'web'],
      ['start', 'shop', 'web'],
      ['die', 'shop', 'web'],
    ]);
    expect(found.at(-1)?.attributes).toEqual({
      ...{ a: 'b', exitCode: '7', image: machine.image, name: machine.name },
      'com.docker.compose.project': 'shop',
    });
  });
});
