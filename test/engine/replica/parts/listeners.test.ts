import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ReplicaStatus } from '../../../../engine/model/events.ts';
import { openTestStack, shopOf, type TestStack, waitTurn } from '../../support/stack.ts';

const WEB = { ports: [{ target: 3000, published: '8080', protocol: 'tcp', mode: 'ingress' }] };
const NONE = new AbortController().signal;

/** Whether a promise is settled already. */
const isSettled = async (promise: Promise<unknown>): Promise<boolean> => {
  const waiting = Symbol();
  await waitTurn();
  return (await Promise.race([promise.catch(() => {}), Promise.resolve(waiting)])) !== waiting;
};

const listenersOf = (stack: TestStack): ReplicaStatus['listeners'] => stack.replica('shop-web-1').status().listeners;

describe('listeners of a replica', () => {
  it('are in its status and an event tells of them, until it ends', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: WEB }));
    expect(listenersOf(stack)).toBeUndefined();
    stack.platform.guest('shop-web-1').listen(3000);
    stack.platform.guest('shop-web-1').listen(80);
    await stack.until(() => listenersOf(stack)?.length === 2);
    expect(listenersOf(stack)).toEqual([
      { port: 80, address: '0.0.0.0' },
      { port: 3000, address: '0.0.0.0' },
    ]);
    expect(stack.actions('listening')).toEqual(['listening shop-web-1']);
    await stack.verb('stop');
    expect(listenersOf(stack)).toBeUndefined();
  });

  it('let clients of a published port go on as soon as there is one that they can reach', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: WEB }));
    const wait = stack.platform.awaitPort('127.0.0.1:8080/tcp')(3000, NONE);
    expect(await isSettled(wait)).toBe(false);
    stack.platform.guest('shop-web-1').listen(3001);
    await stack.until(() => listenersOf(stack)?.length === 1);
    expect(await isSettled(wait)).toBe(false);
    stack.platform.guest('shop-web-1').listen(3000);
    await wait;
  });

  it('are not waited for longer than the client does', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: WEB }));
    const controller = new AbortController();
    const wait = stack.platform.awaitPort('127.0.0.1:8080/tcp')(3000, controller.signal);
    controller.abort(new Error('the client left'));
    await expect(wait).rejects.toThrow('the client left');
  });

  describe('when the service had its time', () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }));
    afterEach(() => void vi.useRealTimers());

    it('are not waited for any more', async () => {
      const stack = openTestStack();
      await stack.up(shopOf(stack, { web: WEB }));
      const wait = stack.platform.awaitPort('127.0.0.1:8080/tcp')(3000, NONE);
      await vi.advanceTimersByTimeAsync(59_000);
      expect(await isSettled(wait)).toBe(false);
      await vi.advanceTimersByTimeAsync(1_100);
      await wait;
      await stack.platform.awaitPort('127.0.0.1:8080/tcp')(3000, NONE);
    });
  });
});
