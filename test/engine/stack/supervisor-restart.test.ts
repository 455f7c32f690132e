import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { TestStack } from '../support/stack.ts';
import { openTestStack, shopOf, waitTurn } from '../support/stack.ts';

const FIRST_DELAY = 100;

/** The workload ends; resolves when its end is on record. */
const crash = async (stack: TestStack, code = 1): Promise<void> => {
  const dies = stack.actions('die').length;
  stack.platform.guest('shop-web-1').end(code);
  await stack.until(() => stack.actions('die').length > dies);
};

const web = (restart: string) => ({ web: { restart } });

describe('restart policies', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  });
  afterEach(() => vi.useRealTimers());

  /** The pause before a restart passes. */
  const pass = async (stack: TestStack, ms: number): Promise<void> => {
    await stack.reach('shop-web-1', 'restarting');
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(stack.row('shop-web-1').state).toBe('restarting');
    await vi.advanceTimersByTimeAsync(1);
    await stack.reach('shop-web-1', 'running');
  };

  test('always: comes back, the pause doubles, a good run forgives', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('always')));
    for (const delay of [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]) {
      await crash(stack, 0);
      await pass(stack, delay);
    }
    expect(stack.row('shop-web-1')).toMatchObject({ restarts: 3, health: 'none' });
    await vi.advanceTimersByTimeAsync(10_000);
    await crash(stack);
    await pass(stack, FIRST_DELAY);
    expect(stack.row('shop-web-1').restarts).toBe(1);
  });

  test('an end that is followed by a restart is never told as the end', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('on-failure:1')));
    const seen = stack.events.length;
    await crash(stack, 3);
    await pass(stack, FIRST_DELAY);
    const told = stack.events.slice(seen).flatMap((event) => (event.type === 'replica' ? [`${event.action} ${event.replica.state}`] : []));
    expect(told).toEqual(expect.arrayContaining(['die restarting', 'restart restarting']));
    expect(told.filter((text) => /exited|dead/.test(text))).toEqual([]);
    await crash(stack, 3);
    expect(stack.row('shop-web-1').state).toBe('exited');
  });

  test('on-failure:2 gives up after two; a clean end is an end', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('on-failure:2')));
    await crash(stack);
    await pass(stack, FIRST_DELAY);
    await crash(stack);
    await pass(stack, 2 * FIRST_DELAY);
    await crash(stack, 7);
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 7, restarts: 2 });
    await stack.verb('start');
    await vi.advanceTimersByTimeAsync(20_000);
    await crash(stack, 0);
    expect(stack.row('shop-web-1').state).toBe('exited');
  });

  test('unless-stopped: comes back from a crash, not from a stop', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('unless-stopped')));
    stack.platform.vmm.machines.get('shop-web-1')?.crash('gone');
    await pass(stack, FIRST_DELAY);
    await stack.verb('stop');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(stack.row('shop-web-1').state).toBe('exited');
  });

  test('stop during the pause cancels the restart; down as well', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('always')));
    await crash(stack);
    await stack.reach('shop-web-1', 'restarting');
    expect(stack.supervisor.isIdle).toBe(false);
    await stack.verb('stop');
    expect(stack.row('shop-web-1').state).toBe('exited');
    await stack.verb('start');
    await crash(stack);
    await stack.reach('shop-web-1', 'restarting');
    await stack.down();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([stack.states(), stack.platform.vmm.machines.size]).toEqual([{}, 0]);
  });

  test('kill during the pause cancels it, too', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('always')));
    await crash(stack);
    await stack.reach('shop-web-1', 'restarting');
    await stack.verb('kill');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(stack.row('shop-web-1').state).toBe('exited');
  });

  test.each([
    ['boots', { boot: new Promise<never>(() => {}) }],
    ['starts', { starting: new Promise<never>(() => {}) }],
  ])('stop while a restart %s: the replica has ended, nothing is left', async (_, behaviour) => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('always')));
    stack.platform.behave('web', behaviour);
    await crash(stack);
    await stack.reach('shop-web-1', 'restarting');
    await vi.advanceTimersByTimeAsync(FIRST_DELAY);
    await stack.reach('shop-web-1', 'starting');
    await stack.until(() => stack.platform.vmm.machines.has('shop-web-1'));
    await stack.verb('stop');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', machine: undefined, stoppedByUser: true });
    expect(stack.platform.vmm.machines.size).toBe(0);
    stack.platform.behave('web', {});
    await stack.verb('start');
    expect(stack.row('shop-web-1').state).toBe('running');
  });

  test('an operation that ends while a restart boots leaves it alone', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, ...web('always') }));
    stack.platform.behave('web', { starting: waitTurn().then(waitTurn) });
    await crash(stack);
    await stack.reach('shop-web-1', 'restarting');
    await vi.advanceTimersByTimeAsync(FIRST_DELAY);
    await stack.until(() => stack.replica('shop-web-1').run !== undefined);
    await stack.verb('pause', { services: ['db'] });
    await stack.reach('shop-web-1', 'running');
  });

  test('up during the pause, and during the boot of a restart, brings it up once', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, web('always'));
    await stack.up(project);
    await crash(stack);
    await stack.reach('shop-web-1', 'restarting');
    await stack.up(project);
    expect(stack.row('shop-web-1').state).toBe('running');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(stack.actions('start')).toHaveLength(2);
    expect(stack.platform.vmm.machines.size).toBe(1);
  });

  test('a restart that cannot boot is tried again, and gives up by its policy', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('on-failure:3')));
    const fail = () => stack.platform.vmm.failNext('shop-web-1', new HyprError('VMM_START', 'no memory'));
    fail();
    await crash(stack);
    await vi.advanceTimersByTimeAsync(FIRST_DELAY);
    await stack.until(() => stack.row('shop-web-1').restarts === 2);
    await pass(stack, 2 * FIRST_DELAY);
    fail();
    await crash(stack);
    await vi.advanceTimersByTimeAsync(4 * FIRST_DELAY);
    await stack.reach('shop-web-1', 'dead');
    await waitTurn();
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'dead', reason: 'no memory', restarts: 3 });
    expect(stack.supervisor.isIdle).toBe(true);
  });

  test('a restart that cannot boot gives up by its policy after a run of an hour, too', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('on-failure:3')));
    await vi.advanceTimersByTimeAsync(3_600_000);
    const fail = () => stack.platform.vmm.failNext('shop-web-1', new HyprError('VMM_START', 'no memory'));
    fail();
    await crash(stack);
    for (const restarts of [2, 3]) {
      await vi.advanceTimersByTimeAsync(restarts * FIRST_DELAY);
      await stack.until(() => stack.row('shop-web-1').restarts === restarts);
      fail();
    }
    await vi.advanceTimersByTimeAsync(8 * FIRST_DELAY);
    await stack.reach('shop-web-1', 'dead');
    expect(stack.row('shop-web-1')).toMatchObject({ reason: 'no memory', restarts: 3 });
  });

  test('health starts anew with each run, and a paused replica is not probed', async () => {
    const stack = openTestStack();
    let ok = true;
    stack.platform.behave('web', { probe: () => (ok ? 0 : 1) });
    const healthcheck = { test: ['CMD', 'ok'], interval: '5s', timeout: '1s', retries: 2 };
    await stack.up(shopOf(stack, { web: { restart: 'always', healthcheck } }));
    await stack.until(() => stack.row('shop-web-1').health === 'healthy');
    await stack.verb('pause');
    ok = false;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(stack.row('shop-web-1').health).toBe('healthy');
    await stack.verb('unpause');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(stack.row('shop-web-1').health).toBe('healthy');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(stack.row('shop-web-1')).toMatchObject({ health: 'unhealthy', state: 'running' });
    ok = true;
    await crash(stack);
    expect(stack.row('shop-web-1').health).toBe('none');
    await vi.advanceTimersByTimeAsync(FIRST_DELAY);
    await stack.until(() => stack.row('shop-web-1').health === 'healthy');
  });

  test('a replica is healthy as soon as it listens, long before the next probe is due', async () => {
    const stack = openTestStack();
    let ok = false;
    stack.platform.behave('web', { probe: () => (ok ? 0 : 1) });
    const healthcheck = { test: ['CMD', 'ok'], interval: '60s', timeout: '1s', retries: 1 };
    await stack.up(shopOf(stack, { web: { healthcheck } }));
    await stack.until(() => stack.platform.guest('shop-web-1').probes.length === 1);
    await waitTurn();
    ok = true;
    stack.platform.guest('shop-web-1').listen(80);
    await stack.until(() => stack.row('shop-web-1').health === 'healthy');
    expect(stack.platform.guest('shop-web-1').probes).toHaveLength(2);
  });

  test('the start period forgives, the start interval asks more often', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { probe: () => 1 });
    const healthcheck = { test: ['CMD', 'ok'], interval: '30s', timeout: '1s', retries: 1, start_period: '20s', start_interval: '2s' };
    await stack.up(shopOf(stack, { web: { healthcheck } }));
    await vi.advanceTimersByTimeAsync(19_000);
    expect(stack.platform.guest('shop-web-1').probes).toHaveLength(10);
    expect(stack.row('shop-web-1').health).toBe('starting');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(stack.row('shop-web-1').health).toBe('unhealthy');
  });

  test('a probe that hangs is a failure, and is ended', async () => {
    const stack = openTestStack();
    const probes: number[][] = [];
    stack.platform.behave('web', { spawn: (_, process) => probes.push(process.signals) });
    const healthcheck = { test: ['CMD', 'ok'], interval: '5s', timeout: '3s', retries: 1 };
    await stack.up(shopOf(stack, { web: { healthcheck } }));
    await vi.advanceTimersByTimeAsync(3_000 + 5_000 + 3_000);
    expect(stack.row('shop-web-1')).toMatchObject({ health: 'unhealthy' });
    expect(stack.row('shop-web-1').reason).toBe('health check: it took longer than 3 s, its timeout');
    expect(probes).toEqual([[9], [9]]);
  });
});

describe('a channel that breaks', () => {
  test('the machine is ended and the replica starts again by its policy', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const stack = openTestStack();
    await stack.up(shopOf(stack, web('always')));
    const machine = stack.platform.vmm.machines.get('shop-web-1');
    stack.platform.guest('shop-web-1').breakChannel();
    await vi.advanceTimersByTimeAsync(5_000);
    await stack.reach('shop-web-1', 'restarting');
    await vi.advanceTimersByTimeAsync(FIRST_DELAY);
    await stack.reach('shop-web-1', 'running');
    expect(stack.platform.vmm.machines.get('shop-web-1')).not.toBe(machine);
    vi.useRealTimers();
  });
});

describe('a network dies', () => {
  test('its machines start again on a new one, whatever their policy; others are left alone', async () => {
    const stack = openTestStack();
    const project = shopOf(
      stack,
      { db: { networks: { back: null } }, web: { networks: { default: null, back: null } }, other: {} },
      { networks: { default: { name: 'shop_default' }, back: { name: 'shop_back' } } },
    );
    await stack.up(project);
    const before = new Map([...stack.platform.vmm.machines]);
    stack.platform.nets.get('shop_back')?.die('killed');
    await stack.until(() => stack.actions('start').length === 5);
    expect(stack.warnings()).toEqual(['network back ended unexpectedly (killed): starting it and 2 replicas again']);
    const same = (name: string) => stack.platform.vmm.machines.get(name) === before.get(name);
    expect([same('shop-db-1'), same('shop-web-1'), same('shop-other-1')]).toEqual([false, false, true]);
    expect([...stack.platform.nets.keys()].sort()).toEqual(['shop_back', 'shop_default']);
    expect(Object.values(stack.states())).toEqual(['running', 'running', 'running']);
  });

  test('stop while that goes on: it stays stopped', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { onSignal: () => {} });
    await stack.up(shopOf(stack, web('always')));
    stack.platform.nets.get('shop_default')?.die('killed');
    await stack.reach('shop-web-1', 'stopping');
    const stop = stack.verb('stop');
    stack.platform.guest('shop-web-1').end(0);
    await stop;
    await waitTurn();
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', stoppedByUser: true });
    expect(stack.platform.vmm.machines.size).toBe(0);
    expect(stack.supervisor.isIdle).toBe(true);
  });

  test('down while that goes on: nothing comes back', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {}, db: {} }));
    stack.platform.behave('web', { boot: new Promise(() => {}) });
    stack.platform.nets.get('shop_default')?.die('killed');
    await stack.reach('shop-web-1', 'starting');
    await stack.down();
    await waitTurn();
    expect([stack.states(), stack.platform.vmm.machines.size, stack.store.stacks()]).toEqual([{}, 0, []]);
    expect(stack.platform.nets.size).toBe(0);
  });

  test('it cannot be started anew: that is said, and the replicas are dead with the reason', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    stack.platform.failNetworks(new HyprError('NET_START', 'no gvproxy'));
    stack.platform.nets.get('shop_default')?.die('killed');
    await stack.until(() => stack.warnings().length === 2);
    expect(stack.warnings()[1]).toBe('shop-web-1 could not be started again: no gvproxy');
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'dead', reason: 'no gvproxy' });
  });

  test('a machine that waits for its dependency is booted anew when its turn comes', async () => {
    const stack = openTestStack();
    let release: (code: number) => void = () => {};
    const ready = new Promise<number>((resolve) => {
      release = resolve;
    });
    stack.platform.behave('db', { probe: () => ready });
    const healthcheck = { test: ['CMD', 'ok'], interval: '1s', timeout: '60s', retries: 1 };
    const project = shopOf(
      stack,
      {
        db: { healthcheck, networks: { back: null } },
        web: { depends_on: { db: { condition: 'service_healthy', required: true } }, networks: { default: null } },
      },
      { networks: { default: { name: 'shop_default' }, back: { name: 'shop_back' } } },
    );
    const up = stack.up(project);
    await stack.until(() => stack.supervisor.replicas.get('shop-web-1')?.isHeld === true);
    stack.platform.nets.get('shop_default')?.die('killed');
    await stack.reach('shop-web-1', 'created');
    release(0);
    await up;
    expect(Object.values(stack.states())).toEqual(['running', 'running']);
  });
});
