import { expect, test } from 'vitest';
import { EventBus } from '../../../engine/logs/bus.ts';
import type { EngineEvent } from '../../../engine/model/events.ts';

const all = () => true;
const warn = (message: string) => ({ type: 'warning', message }) as const;
const textOf = (event: EngineEvent | undefined) => (event?.type === 'warning' ? event.message : event?.type);

test('a stream hears everything from the call on, in order, and ends with its signal after what was queued', async () => {
  const bus = new EventBus();
  const controller = new AbortController();
  const stream = bus.stream(all, controller.signal);
  bus.emit(warn('one'));
  bus.emit(warn('two'));
  controller.abort();
  bus.emit(warn('too late'));
  const seen: Array<string | undefined> = [];
  for await (const event of stream) {
    seen.push(textOf(event));
  }
  expect(seen).toEqual(['one', 'two']);
  expect(bus.subscribers).toBe(0);
});

test('a stream of a signal that has aborted already is over', async () => {
  const bus = new EventBus();
  const stream = bus.stream(all, AbortSignal.abort());
  expect(await stream.next()).toEqual({ done: true, value: undefined });
  expect(bus.subscribers).toBe(0);
});

test('leaving a stream unsubscribes, also while its next event is awaited', async () => {
  const bus = new EventBus();
  for await (const _ of bus.stream(all, emitSoon(bus))) {
    break;
  }
  expect(bus.subscribers).toBe(0);
  const waiting = bus.stream(all, new AbortController().signal);
  const next = waiting.next();
  await waiting.return?.();
  expect(await next).toEqual({ done: true, value: undefined });
  expect(bus.subscribers).toBe(0);
});

const emitSoon = (bus: EventBus): AbortSignal => {
  setImmediate(() => bus.emit(warn('soon')));
  return new AbortController().signal;
};

test('two readers of one stream get one event each', async () => {
  const bus = new EventBus();
  const stream = bus.stream(all, new AbortController().signal);
  const both = [stream.next(), stream.next()];
  bus.emit(warn('one'));
  bus.emit(warn('two'));
  expect((await Promise.all(both)).map((result) => textOf(result.value))).toEqual(['one', 'two']);
  await stream.return?.();
});

test('a slow reader loses the oldest log lines, never the newest and never other events, and is told how many', async () => {
  const bus = new EventBus();
  const stream = bus.stream(all, new AbortController().signal);
  const record = { time: 1, stream: 'stdout', replica: 'a', service: 'a' } as const;
  bus.emit(warn('important'));
  for (let count = 1; count <= 50_005; count++) {
    bus.emit({ type: 'log', record: { ...record, line: String(count) } });
  }
  const others: Array<string | undefined> = [];
  const lines: string[] = [];
  while (lines.at(-1) !== '50005') {
    const event = (await stream.next()).value as EngineEvent;
    if (event.type === 'log') {
      lines.push(event.record.line);
    } else {
      others.push(textOf(event));
    }
  }
  expect(others).toEqual([`${50_005 - lines.length} log lines were too fast to show; they are in the log files`, 'important']);
  expect(lines.length).toBeGreaterThanOrEqual(10_000);
  expect(lines[0]).toBe(String(50_005 - lines.length + 1));
  await stream.return?.();
});

test('a subscriber may leave while it is called', () => {
  const bus = new EventBus();
  const seen: string[] = [];
  const leave = bus.subscribe(() => {
    seen.push('first');
    leave();
  });
  bus.subscribe(() => seen.push('second'));
  bus.emit(warn('a'));
  bus.emit(warn('b'));
  expect(seen).toEqual(['first', 'second', 'second']);
});
