/**
 * Calls `handler` once when the signal aborts, or now if it already has. Returns a function that removes the listener;
 * call it when the work ends, because the signal may live much longer.
 */
export const onAbort = (signal: AbortSignal | undefined, handler: () => void): (() => void) => {
  if (signal?.aborted) {
    handler();
    return () => {};
  }
  signal?.addEventListener('abort', handler, { once: true });
  return () => signal?.removeEventListener('abort', handler);
};

/** Resolves when the signal aborts. */
export const whenAborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => onAbort(signal, resolve));

/** Settles like `work`, or rejects with the signal's reason if that aborts first; the work itself goes on. */
export const orAbort = <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> =>
  new Promise((resolve, reject) => {
    const leave = onAbort(signal, () => reject(signal?.reason));
    work.then(resolve, reject).finally(leave);
  });

/** A controller that can be aborted by itself, and is aborted together with its parent. */
export interface LinkedController {
  /** Aborts with the parent, or by `abort`. */
  readonly signal: AbortSignal;
  /** Aborts by `abort` only. */
  readonly own: AbortSignal;
  abort(reason?: unknown): void;
}

/** For work that ends before its parent does: AbortSignal.any would make the parent remember every signal linked to it. */
export const linkedController = (parent: AbortSignal | undefined): LinkedController => {
  const controller = new AbortController();
  return {
    signal: parent === undefined ? controller.signal : AbortSignal.any([parent, controller.signal]),
    own: controller.signal,
    abort: (reason) => controller.abort(reason),
  };
};

/** A signal for work that is never interrupted. A new one each time, so that no listeners accumulate. */
export const neverAborts = (): AbortSignal => new AbortController().signal;
