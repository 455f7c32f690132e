import { onAbort } from '../../base/abort.ts';
import { AsyncQueue } from '../../base/queue.ts';
import type { EngineEvent } from '../model/events.ts';

/** Events without their time; `emit` adds it. */
export type NewEvent = EngineEvent extends infer E ? (E extends EngineEvent ? Omit<E, 'time'> : never) : never;

/** The one stream of events of a stack. A slow subscriber loses the oldest lines of logs, and is told how many. */
export class EventBus {
  readonly #subscribers = new Set<(event: EngineEvent) => void>();

  emit(event: NewEvent): void {
    const complete = { ...event, time: Date.now() } as EngineEvent;
    // A snapshot: a subscriber may unsubscribe while it is called.
    for (const subscriber of [...this.#subscribers]) {
      subscriber(complete);
    }
  }

  subscribe(subscriber: (event: EngineEvent) => void): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /** How many listen now. */
  get subscribers(): number {
    return this.#subscribers.size;
  }

  /**
   * Iterates over the events emitted from this call on, until the signal aborts (events already queued are still
   * delivered) or the caller leaves the loop. `filter` keeps the queue small. With `keepsOrder` the newest lines are dropped: once one has
   * been, the following ones are dropped too, until the warning about it has been read, so that the reader can
   * read them again from the log files.
   */
  stream(
    filter: (event: EngineEvent) => boolean,
    signal: AbortSignal,
    options: { readonly keepsOrder?: boolean } = {},
  ): AsyncIterableIterator<EngineEvent> {
    return new EventStream(this, filter, signal, options.keepsOrder === true);
  }
}

const MAX_QUEUE = 20_000;

class EventStream implements AsyncIterableIterator<EngineEvent> {
  readonly #queue: AsyncQueue<EngineEvent>;
  readonly #keepsOrder: boolean;
  #dropped = 0;

  constructor(bus: EventBus, filter: (event: EngineEvent) => boolean, signal: AbortSignal, keepsOrder: boolean) {
    this.#keepsOrder = keepsOrder;
    const unsubscribe = bus.subscribe((event) => {
      if (filter(event)) {
        this.#push(event);
      }
    });
    let leave = () => {};
    this.#queue = new AsyncQueue({
      onClose: () => {
        unsubscribe();
        leave();
      },
    });
    leave = onAbort(signal, () => {
      unsubscribe();
      this.#queue.end();
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<EngineEvent>> {
    const isAtGap = this.#queue.size === 0 || !this.#keepsOrder;
    return isAtGap && this.#dropped > 0 ? Promise.resolve({ done: false, value: this.#lossNotice() }) : this.#queue.next();
  }

  return(): Promise<IteratorResult<EngineEvent>> {
    this.#dropped = 0;
    return this.#queue.return();
  }

  #push(event: EngineEvent): void {
    if (event.type === 'log' && !this.#hasRoom()) {
      this.#dropped += 1;
    } else {
      void this.#queue.push(event);
    }
  }

  #hasRoom(): boolean {
    if (this.#keepsOrder) {
      return this.#queue.size < MAX_QUEUE && this.#dropped === 0;
    }
    if (this.#queue.size >= MAX_QUEUE) {
      this.#dropOldest(MAX_QUEUE / 2);
    }
    return this.#queue.size < MAX_QUEUE;
  }

  /** The newest lines are those that somebody looks at: where they were dropped, the end of a flood was never seen. */
  #dropOldest(lines: number): void {
    let left = lines;
    for (const event of this.#queue.takeAll()) {
      if (event.type === 'log' && left > 0) {
        left -= 1;
        this.#dropped += 1;
      } else {
        void this.#queue.push(event);
      }
    }
  }

  #lossNotice(): EngineEvent {
    const message = `${this.#dropped} log lines were too fast to show; they are in the log files`;
    this.#dropped = 0;
    return { type: 'warning', time: Date.now(), message };
  }
}
