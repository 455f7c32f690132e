import { vi } from 'vitest';
import type { NameDirectory } from '../../net/names/directory.ts';

/** Waits until something holds, which is looked at once and then at each change of the directory: for its events, not for a time. */
export const untilNames = (directory: NameDirectory, holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const check = (): void => {
      if (holds()) {
        leave();
        resolve();
      }
    };
    const leave = directory.onChange(check);
    check();
  });

/** A loaded machine is slow; what is waited for is seen at once when it comes. */
const TIMEOUT_MS = 15_000;

/** Resolves when `check` no longer throws; rejects with what it threw last. It is asked every 50 ms. */
export const until = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, { timeout: TIMEOUT_MS });
