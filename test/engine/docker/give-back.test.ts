import { expect, test, vi } from 'vitest';
import { GiveBack } from '../../../engine/docker/http/give-back.ts';

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
