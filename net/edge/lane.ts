import type { Dispatcher } from 'undici';

/** How many requests begin at a time; a request that takes long is none of them any more. */
const MOST = 64;
const LONG_MS = 20;

/**
 * The way to one port of a service. Of a thousand requests that come at once, a few begin and the others follow on the connections that
 * these leave, instead of a connection each: to open one costs more than a request. Long polls, streams and slow services hold nothing up, because
 * what takes longer than a moment does not count.
 */
export class Lane {
  readonly #pool: Dispatcher;
  /** When each has begun, the first first. */
  readonly #begun = new Map<object, number>();
  readonly #waiting: Array<() => void> = [];
  #timer: NodeJS.Timeout | undefined;
  #next: NodeJS.Immediate | undefined;

  constructor(pool: Dispatcher) {
    this.#pool = pool;
  }

  /** Sends a request now or in a moment. Its end is told by `ended`, also if it fails. `isOver`: its client has left meanwhile. */
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler, isOver: () => boolean): void {
    const begin = (): void => {
      if (!isOver()) {
        this.#begun.set(handler, performance.now());
        this.#pool.dispatch(options, handler);
      }
    };
    if (this.#waiting.length === 0 && this.#hasRoom()) {
      begin();
      return;
    }
    this.#waiting.push(begin);
    this.#look();
  }

  ended(handler: object): void {
    this.#begun.delete(handler);
    if (this.#waiting.length > 0) {
      // Not at once: the library gives the connection back after it has told the end.
      this.#next ??= setImmediate(() => {
        this.#next = undefined;
        this.#beginMore();
      });
    }
  }

  #hasRoom(): boolean {
    if (this.#begun.size < MOST) {
      return true;
    }
    const long = performance.now() - LONG_MS;
    for (const [handler, at] of this.#begun) {
      if (at > long) {
        break;
      }
      this.#begun.delete(handler);
    }
    return this.#begun.size < MOST;
  }

  #beginMore(): void {
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      this.#waiting.shift()?.();
    }
  }

  /** While some wait: those that have begun may all take long. */
  #look(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#beginMore();
      if (this.#waiting.length > 0) {
        this.#look();
      }
    }, LONG_MS);
  }
}
