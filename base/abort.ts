/**
 * Calls `handler` once when the signal aborts; now, if it has already. Gives what stops listening, which is
 * to be called when the work ends: a signal may outlive it by far.
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

/** What `work` gives, unless the signal aborts first: then rejects with its reason. The work itself goes on. */
export const orAbort = <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> =>
  new Promise((resolve, reject) => {
    const leave = onAbort(signal, () => reject(signal?.reason));
    work.then(resolve, reject).finally(leave);
  });

/** Something that can be aborted by itself, and is aborted with what it is part of. */
export interface LinkedController {
  /** Aborts with the parent, and by `abort`. */
  readonly signal: AbortSignal;
  /** Aborts by `abort` alone. */
  readonly own: AbortSignal;
  abort(reason?: unknown): void;
}

/** For work that is over before its parent is: a parent remembers all that were ever linked to it. */
export const linkedController = (parent: AbortSignal | undefined): LinkedController => {
  const controller = new AbortController();
  return {
    signal: parent === undefined ? controller.signal : AbortSignal.any([parent, controller.signal]),
    own: controller.signal,
    abort: (reason) => controller.abort(reason),
  };
};

/** A signal for work that nobody interrupts. A new one each time, so that nothing gathers on it. */
export const neverAborts = (): AbortSignal => new AbortController().signal;
