import { setTimeout as delay } from 'node:timers/promises';
import { onAbort, orAbort } from './abort.ts';
import { HyprError } from './errors.ts';

/** Pure: by how much HYPR_PATIENCE lengthens deadlines; 1 without it, or where it is no number from 1 to 1000. */
export const patienceOf = (text: string | undefined): number => {
  const factor = Number(text);
  return factor >= 1 && factor <= 1000 ? factor : 1;
};

/** Hosts whose processor is emulated itself take a hundred times as long as others. */
const PATIENCE = patienceOf(process.env.HYPR_PATIENCE);

/**
 * Runs `work` with a signal that aborts when `parent` does or after `ms` milliseconds, times HYPR_PATIENCE. On expiry
 * throws HYPR_TIMEOUT naming `what` (a noun phrase: "the guest agent's answer").
 */
export const withDeadline = async <T>(
  options: { ms: number; what: string; signal?: AbortSignal | undefined },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  // Not AbortSignal.any: a long-lived parent would remember every deadline it ever had.
  const controller = new AbortController();
  const ms = options.ms * PATIENCE;
  const expired = new HyprError('HYPR_TIMEOUT', `${options.what} did not come within ${formatMs(ms)}`);
  const timer = setTimeout(() => controller.abort(expired), ms);
  const leave = onAbort(options.signal, () => controller.abort(options.signal?.reason));
  try {
    return await orAbort(work(controller.signal), controller.signal);
  } finally {
    clearTimeout(timer);
    leave();
    controller.abort(new HyprError('HYPR_CANCELLED', `${options.what}: finished`));
  }
};

/** Waits `ms` milliseconds or until the signal aborts (then throws its reason). */
export const sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
  try {
    await delay(ms, undefined, signal ? { signal } : {});
  } catch (error) {
    throw signal?.reason ?? error;
  }
};

const formatMs = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`);
