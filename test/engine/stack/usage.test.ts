import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EventBus } from '../../../engine/logs/bus.ts';
import type { Replica } from '../../../engine/replica/replica.ts';
import { USAGE_EVERY_MS, UsageSampler } from '../../../engine/stack/usage.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const STATS = { cpuMs: 0, memoryUsed: 1, memoryTotal: 2, netRx: 0, netTx: 0, blockRead: 0, blockWrite: 0, pids: 1 };

/** A sampler over one running replica whose guest answers with `stats`. */
const openSampler = (stats: () => Promise<typeof STATS>) => {
  const bus = new EventBus();
  const run = { process: {}, guest: { stats }, machine: { memory: async () => 7 } };
  const replica = { run, row: { name: 'shop-web-1', state: 'running', spec: { vcpus: 1 } } } as unknown as Replica;
  const told: number[] = [];
  bus.subscribe((event) => {
    if (event.type === 'usage') {
      told.push(event.usage.cpu);
    }
  });
  return { told, sampler: new UsageSampler({ bus, replicas: new Map([['shop-web-1', replica]]) }) };
};

test('UsageSampler › tells each sample once, however many subscribe', async () => {
  let asked = 0;
  const { sampler, told } = openSampler(async () => ({ ...STATS, cpuMs: (asked++ * USAGE_EVERY_MS) / 2 }));
  const leave = [sampler.subscribe(), sampler.subscribe(), sampler.subscribe()];
  await vi.advanceTimersByTimeAsync(3 * USAGE_EVERY_MS);
  expect([asked, told]).toEqual([3, [0, 50, 50]]);
  leave[0]?.();
  leave[0]?.();
  leave[1]?.();
  await vi.advanceTimersByTimeAsync(USAGE_EVERY_MS);
  expect(told).toHaveLength(4);
  leave[2]?.();
  await vi.advanceTimersByTimeAsync(5 * USAGE_EVERY_MS);
  expect([told.length, vi.getTimerCount()]).toEqual([4, 0]);
});

test('UsageSampler › does not ask a guest again that has not answered yet', async () => {
  let asked = 0;
  const { sampler, told } = openSampler(() => {
    asked++;
    return new Promise(() => {});
  });
  const leave = sampler.subscribe();
  await vi.advanceTimersByTimeAsync(4 * USAGE_EVERY_MS);
  leave();
  expect([asked, told]).toEqual([1, []]);
});

test('UsageSampler › measures for a second what has no sample yet, and then answers at once', async () => {
  let asked = 0;
  const { sampler } = openSampler(async () => ({ ...STATS, cpuMs: asked++ * 500 }));
  const first = sampler.measure(new AbortController().signal);
  await vi.advanceTimersByTimeAsync(1000);
  expect((await first).map(({ cpu }) => cpu)).toEqual([50]);
  await vi.advanceTimersByTimeAsync(1000);
  expect((await sampler.measure(new AbortController().signal)).map(({ cpu }) => cpu)).toEqual([50]);
  expect(asked).toBe(3);
});

test('UsageSampler › no run uses more than it has, and samples that are too close repeat the last figure', async () => {
  let cpuMs = 0;
  const { sampler } = openSampler(async () => {
    cpuMs += 20_000;
    return { ...STATS, cpuMs };
  });
  await sampler.sample();
  await vi.advanceTimersByTimeAsync(1000);
  expect((await sampler.sample())[0]?.cpu).toBe(100);
  await vi.advanceTimersByTimeAsync(1);
  expect((await sampler.sample())[0]?.cpu).toBe(100);
});
