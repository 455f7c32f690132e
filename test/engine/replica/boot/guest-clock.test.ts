import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { GuestClock } from '../../../../engine/replica/boot/guest-clock.ts';
import { openTestStack, shopOf, waitTurn } from '../../support/stack.ts';

const NONE = new AbortController().signal;
const HOUR_MS = 3_600_000;

const runningWeb = async () => {
  const stack = openTestStack();
  await stack.up(shopOf(stack, { web: {} }));
  return { stack, guest: stack.platform.guest('shop-web-1') };
};

/** The machine stands, without anybody having asked for it. */
const stand = (guest: Awaited<ReturnType<typeof runningWeb>>['guest']) => void Object.assign(guest.machine, { paused: true });

describe('the clock of a guest', () => {
  it('is set when its machine goes on by itself, as after its disk was full', async () => {
    const { guest } = await runningWeb();
    stand(guest);
    await guest.machine.resume();
    await waitTurn();
    expect(guest.clocks).toHaveLength(1);
  });

  it('is set by an unpause, once', async () => {
    const { stack, guest } = await runningWeb();
    await stack.verb('pause');
    await stack.verb('unpause');
    await waitTurn();
    expect(guest.clocks).toHaveLength(1);
  });

  it('is set when its machine is taken over and stood, and left alone when it ran', async () => {
    const { stack, guest } = await runningWeb();
    await stack.supervisor.release();
    await waitTurn();
    const next = stack.successor();
    await next.supervisor.recover(NONE);
    expect(guest.clocks).toEqual([]);
    await next.supervisor.release();
    await waitTurn();
    // Its supervisor was killed in the middle of a suspend.
    stand(guest);
    await next.successor().supervisor.recover(NONE);
    expect(guest.clocks).toHaveLength(1);
  });

  it('of a paused machine that is taken over is set when it goes on', async () => {
    const { stack, guest } = await runningWeb();
    await stack.verb('pause');
    await stack.supervisor.release();
    await waitTurn();
    const next = stack.successor();
    await next.supervisor.recover(NONE);
    expect(guest.clocks).toEqual([]);
    await next.verb('unpause');
    expect(guest.clocks).toHaveLength(1);
  });

  it('is set when the host was asleep', async () => {
    const { stack, guest } = await runningWeb();
    const { now } = Date;
    const later = vi.spyOn(Date, 'now').mockImplementation(() => now.call(Date) + HOUR_MS);
    try {
      stack.replica('shop-web-1').expectAnswer(NONE)[Symbol.dispose]();
      await vi.waitFor(() => expect(guest.clocks).toHaveLength(1), 10_000);
      expect(guest.clocks[0]).toBeGreaterThan(now.call(Date) + HOUR_MS / 2);
    } finally {
      later.mockRestore();
    }
  });

  it('stays due after the host was asleep until a set has succeeded', async () => {
    const { stack } = await runningWeb();
    const clock = new GuestClock(stack.replica('shop-web-1').row);
    expect(clock.hasJumped()).toBe(false);
    const { now } = Date;
    const later = vi.spyOn(Date, 'now').mockImplementation(() => now.call(Date) + HOUR_MS);
    onTestFinished(() => later.mockRestore());
    // As while it is paused: it is seen, and nothing is set.
    expect([clock.hasJumped(), clock.hasJumped()]).toEqual([true, true]);
    await clock.set({ setClock: () => Promise.reject(new Error('no answer')) });
    expect(clock.hasJumped()).toBe(true);
    await clock.set({ setClock: async () => {} });
    expect(clock.hasJumped()).toBe(false);
  });

  it('is asked for once at a time by a machine that says without end that it goes on', async () => {
    const { stack } = await runningWeb();
    const clock = new GuestClock(stack.replica('shop-web-1').row);
    let answer = () => {};
    const setClock = vi.fn(() => new Promise<void>((resolve) => (answer = resolve)));
    const all = Promise.all(Array.from({ length: 10_000 }, () => clock.set({ setClock })));
    await waitTurn();
    expect(setClock).toHaveBeenCalledTimes(1);
    answer();
    await vi.waitFor(() => expect(setClock).toHaveBeenCalledTimes(2), 10_000);
    answer();
    await all;
    expect(setClock).toHaveBeenCalledTimes(2);
  });

  it('is not set by a replica in the machine of another', async () => {
    const { stack } = await runningWeb();
    const { row } = stack.replica('shop-web-1');
    const setClock = vi.fn();
    const shares = { service: 'web', replica: 'shop-web-1', disk: '', memoryMib: 1 } as never;
    await new GuestClock({ ...row, spec: { ...row.spec, shares } }).set({ setClock });
    expect(setClock).not.toHaveBeenCalled();
  });
});
