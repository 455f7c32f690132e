import { describe, expect, it, test, vi } from 'vitest';
import { HyprError } from '../../../../base/errors.ts';
import { formatStatus } from '../../../../engine/docker/shapes/status.ts';
import { EventBus } from '../../../../engine/logs/bus.ts';
import { GuestClock } from '../../../../engine/replica/boot/guest-clock.ts';
import { ReplicaHealth } from '../../../../engine/replica/parts/probe-health.ts';
import { ReplicaRecord } from '../../../../engine/replica/parts/record.ts';
import { Responsiveness } from '../../../../engine/replica/parts/responsiveness.ts';
import { healDelay } from '../../../../engine/replica/parts/restart-policy.ts';
import { openTestStack, shopOf, type TestStack } from '../../support/stack.ts';

const HEALTHCHECK = { test: ['CMD', 'true'], interval: '10m' };
const NONE = new AbortController().signal;
const late = () => new HyprError('HYPR_TIMEOUT', 'the usage of the guest: no answer within 30 s');

/** A stack with a healthy `web`, whose guest answers when the test says so. */
const silentStack = async (settings: Readonly<Record<string, unknown>> = {}) => {
  const stack = openTestStack();
  await stack.up(shopOf(stack, { web: { healthcheck: HEALTHCHECK, ...settings } }));
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

  it('is started again where the service asks for it', async () => {
    const { stack, replica, next } = await silentStack({ 'x-hypr': { restart_unhealthy: true } });
    const { run } = replica;
    replica.expectAnswer(NONE)[Symbol.dispose]();
    (await next())?.(late());
    await stack.until(() => replica.run !== undefined && replica.run !== run && replica.row.health === 'healthy');
    expect(replica.row.restarts).toBe(1);
    const healed = replica.run;
    replica.expectAnswer(NONE)[Symbol.dispose]();
    if (healed === undefined) {
      throw new Error('web does not run');
    }
    vi.spyOn(healed.guest, 'stats').mockImplementation(() => Promise.reject(late()));
    await stack.until(() => replica.row.health === 'unhealthy');
    expect(replica.row.reason).toBe('the guest does not respond; is started again after 10 s');
    await stack.verb('stop');
    expect(replica.row).toMatchObject({ state: 'exited', restarts: 1 });
  });

  it('is left alone for longer after each restart that mended nothing', () => {
    expect([0, 1, 2, 3, 5, 6, 40].map(healDelay)).toEqual([0, 10_000, 20_000, 40_000, 160_000, 300_000, 300_000]);
  });
});

test('a replica that is taken over while it is unhealthy is told of once, at its first failed probe', async () => {
  const { stack, replica } = await silentStack();
  const { run } = replica;
  if (run === undefined) {
    throw new Error('web does not run');
  }
  vi.spyOn(run.guest, 'spawn').mockImplementation(() => Promise.reject(new Error('no answer')));
  const { spec } = replica.row;
  const row = { ...replica.row, health: 'unhealthy' as const, spec: { ...spec, health: spec.health && { ...spec.health, interval: 5 } } };
  const health = new ReplicaHealth(new ReplicaRecord(row, { store: stack.store, bus: new EventBus() }));
  const told = vi.fn();
  health.onUnhealthy = told;
  health.watch(run);
  await vi.waitFor(() => expect(told).toHaveBeenCalled(), 10_000);
  const probe = health.last;
  await vi.waitFor(() => expect(health.last).not.toBe(probe), 10_000);
  expect(told).toHaveBeenCalledTimes(1);
});

test('a machine that is held for a full disk says so at once', async () => {
  const { replica, stack } = await silentStack();
  const record = new ReplicaRecord(replica.row, { store: stack.store, bus: new EventBus() });
  record.noteHeld(true, '/home');
  const responsiveness = new Responsiveness(record, new EventBus(), { health: { silent: () => {} }, clock: new GuestClock(replica.row) });
  expect(() => responsiveness.expect(NONE)).toThrow(expect.objectContaining({ code: 'HYPR_DISK_FULL' }));
});
