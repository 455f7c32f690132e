import { expect, test, vi } from 'vitest';
import { GiveBack } from '../../../engine/docker/http/give-back.ts';
import type { Call } from '../../../engine/docker/http/router.ts';

test('what requests left is collected once, ten seconds after the last one came or left', () => {
  vi.useFakeTimers();
  try {
    const collect = vi.fn();
    const memory = new GiveBack(collect);
    memory.see();
    vi.advanceTimersByTime(9_000);
    memory.see();
    vi.advanceTimersByTime(9_000);
    expect(collect).not.toHaveBeenCalled();
    vi.advanceTimersByTime(60_000);
    expect(collect).toHaveBeenCalledTimes(1);
    memory.see();
    memory.close();
    vi.advanceTimersByTime(60_000);
    expect(collect).toHaveBeenCalledTimes(1);
  } finally {
    vi.useRealTimers();
  }
});

test('requests of the JSON API and gRPC are seen when they begin and when they end, however', async () => {
  vi.useFakeTimers();
  try {
    const collect = vi.fn();
    const failed = Promise.withResolvers<void>();
    const routes = new GiveBack(collect).watch({ 'GET /x': () => failed.promise });
    const call = routes['GET /x']?.({} as Call);
    vi.advanceTimersByTime(20_000);
    expect(collect).toHaveBeenCalledTimes(1);
    failed.reject(new Error('no'));
    await expect(call).rejects.toThrow('no');
    vi.advanceTimersByTime(20_000);
    expect(collect).toHaveBeenCalledTimes(2);
  } finally {
    vi.useRealTimers();
  }
});
