import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Idle } from '../../../engine/docker/serve.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const watch = (ms: number | undefined, isBusy = () => false) => {
  const idle = new Idle(ms, isBusy);
  const seen = { over: false };
  void idle.over.then(() => {
    seen.over = true;
  });
  return { idle, seen };
};

test('ends after so long without a connection', async () => {
  const { idle, seen } = watch(1000);
  idle.see(0);
  await vi.advanceTimersByTimeAsync(900);
  idle.see(1);
  await vi.advanceTimersByTimeAsync(5000);
  idle.see(0);
  await vi.advanceTimersByTimeAsync(999);
  expect(seen.over).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(seen.over).toBe(true);
});

test('a time that is longer than a timer can be is waited for', async () => {
  const days = 40 * 86_400_000;
  const { idle, seen } = watch(days);
  idle.see(0);
  await vi.advanceTimersByTimeAsync(days - 1);
  expect(seen.over).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(seen.over).toBe(true);
});

test('goes on while a program runs, and without a time for ever', async () => {
  let isBusy = true;
  const { idle, seen } = watch(1000, () => isBusy);
  idle.see(0);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(seen.over).toBe(false);
  isBusy = false;
  await vi.advanceTimersByTimeAsync(1000);
  expect(seen.over).toBe(true);
  const other = watch(undefined);
  other.idle.see(0);
  await vi.advanceTimersByTimeAsync(86_400_000);
  expect(other.seen.over).toBe(false);
});
