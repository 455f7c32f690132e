import { setTimeout as delay } from 'node:timers/promises';
import { HyprError } from './errors.ts';

/**
 * Runs `work` with a signal that aborts when `parent` does or after `ms` milliseconds. On expiry
 * throws HYPR_TIMEOUT naming `what` (a noun phrase: "the guest agent's answer").
 */
export const withDeadline = async <T>(
  options: { ms: number; what: string; signal?: AbortSignal | undefined },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  const controller = new AbortController();
  const expired = new HyprError('HYPR_TIMEOUT', `${options.what} did not come within ${formatMs(options.ms)}`);
  const onAbort = () => controller.abort(options.signal?.reason);
  const timer = setTimeout(() => controller.abort(expired), options.ms);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) {
    onAbort();
  }
  try {
    return await Promise.race([work(controller.signal), rejectOnAbort(controller.signal)]);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
    controller.abort(new HyprError('HYPR_CANCELLED', `${options.what}: finished`));
  }
};

/** A promise that never resolves and rejects with the signal's reason. */
export const rejectOnAbort = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const fail = () => reject(signal.reason ?? new HyprError('HYPR_CANCELLED', 'cancelled'));
    if (signal.aborted) {
      fail();
    } else {
      signal.addEventListener('abort', fail, { once: true });
    }
  });

/** Waits `ms` milliseconds or until the signal aborts (then throws its reason). */
export const sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
  try {
    await delay(ms, undefined, signal ? { signal } : {});
  } catch (error) {
    throw signal?.reason ?? error;
  }
};

const formatMs = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`);
