import { describe, expect, it, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { formatStatus } from '../../../engine/docker/shapes/status.ts';
import { openTestStack, shopOf, type TestStack } from '../support/stack.ts';

const HEALTHCHECK = { test: ['CMD', 'true'], interval: '10m' };
const NONE = new AbortController().signal;
const late = () => new HyprError('HYPR_TIMEOUT', 'the usage of the guest: no answer within 30 s');

/** A stack with a healthy `web`, whose guest answers when the test says so. */
const silentStack = async () => {
  const stack = openTestStack();
  await stack.up(shopOf(stack, { web: { healthcheck: HEALTHCHECK } }));
  await stack.until(() => stack.row('shop-web-1').health === 'healthy');
  const { guest } = stack.replica('shop-web-1').run ?? {};
  if (guest === undefined) {
    throw new Error('web does not run');
  }
  const waiting: Array<(error?: Error) => void> = [];
  const answer = await guest.stats();
  vi.spyOn(guest, 'stats').mockImplementation(
    () => new Promise((resolve, reject) => void waiting.push((error) => (error === undefined ? resolve(answer) : reject(error)))),
  );
  const next = async () => {
    await vi.waitFor(() => expect(waiting).not.toEqual([]), 10_000);
    return waiting.shift();
  };
  return { stack, replica: stack.replica('shop-web-1'), next };
};

const statusOf = (stack: TestStack, now: number): string => formatStatus(stack.replica('shop-web-1').status(), now);

describe('a guest that does not answer', () => {
  it('is said to be silent, is unhealthy, and ends what waits for it; it is as before when it answers', async () => {
    const { stack, replica, next } = await silentStack();
    const expected = replica.expectAnswer(NONE);
    (await next())?.(late());
    await stack.until(() => replica.isSilent);
    expect(expected.signal.reason).toMatchObject({ code: 'GUEST_SILENT', hint: expect.stringContaining('hypr -p shop restart web') });
    expect(() => replica.expectAnswer(NONE)).toThrow(/has not responded for \d+ s/);
    expect(replica.row).toMatchObject({ state: 'running', health: 'unhealthy', reason: 'the guest does not respond' });
    expect(stack.actions('health_status').at(-1)).toBe('health_status shop-web-1');
    expect(statusOf(stack, (replica.status().stall?.since ?? 0) + 40_000)).toMatch(/ \(not responding for 40 seconds\) \(unhealthy\)$/);
    expect(await stack.supervisor.usage.sample()).toEqual([]);
    (await next())?.();
    await stack.until(() => !replica.isSilent);
    replica.expectAnswer(NONE)[Symbol.dispose]();
    expect(statusOf(stack, Date.now())).not.toContain('responding');
  });

  it('may be silent while it is paused, and is forgotten with its run', async () => {
    const { stack, replica, next } = await silentStack();
    replica.expectAnswer(NONE)[Symbol.dispose]();
    const answer = await next();
    await stack.verb('pause');
    answer?.(late());
    await stack.verb('unpause');
    expect(replica.isSilent).toBe(false);
    replica.expectAnswer(NONE)[Symbol.dispose]();
    (await next())?.(late());
    await stack.until(() => replica.isSilent);
    await stack.verb('stop');
    expect(replica.isSilent).toBe(false);
  });
});
