import type { Dispatcher } from 'undici';
import { describe, expect, test } from 'vitest';
import { Lane } from '../../../net/edge/lane.ts';

const handler = (): Dispatcher.DispatchHandler => ({});

/** A service that answers nothing by itself, and what was sent to it. */
const openLane = () => {
  const sent: Dispatcher.DispatchHandler[] = [];
  const pool = { dispatch: (_: unknown, each: Dispatcher.DispatchHandler) => sent.push(each) > 0 } as unknown as Dispatcher;
  const lane = new Lane(pool);
  const send = (count: number, isOver = () => false) =>
    Array.from({ length: count }, () => {
      const each = handler();
      lane.dispatch({ path: '/', method: 'GET' }, each, isOver);
      return each;
    });
  return { lane, sent, send };
};

describe('edge › many requests at once', () => {
  test('some begin, and the others follow those that have ended, in their order', async () => {
    const { lane, sent, send } = openLane();
    const all = send(1000);
    expect(sent.length).toBeLessThan(1000);
    for (let at = 0; at < 1000; at += 1) {
      await expect.poll(() => sent.length).toBeGreaterThan(at);
      lane.ended(sent[at] as object);
    }
    expect(sent).toEqual(all);
  });

  test('requests that take long hold nothing up', async () => {
    const { sent, send } = openLane();
    const all = send(500);
    await expect.poll(() => sent.length, { timeout: 20_000 }).toBe(500);
    expect(sent).toEqual(all);
    send(1);
    await expect.poll(() => sent.length).toBe(501);
  });

  test('a request whose client has left is not sent', async () => {
    const { sent, send } = openLane();
    const before = send(200);
    send(50, () => true);
    const after = send(1);
    await expect.poll(() => sent.length, { timeout: 20_000 }).toBe(201);
    expect(sent).toEqual([...before, ...after]);
  });
});
