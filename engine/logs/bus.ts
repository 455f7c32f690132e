import type { EngineEvent } from '../model/events.ts';

/** Events without their time; `emit` adds it. */
export type NewEvent = EngineEvent extends infer E ? (E extends EngineEvent ? Omit<E, 'time'> : never) : never;

/** The one stream of events of a stack. A slow subscriber loses log events first, and is told how many. */
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
   * Events from this call on as an async iteration, until the signal aborts (what was queued by then is
   * still given) or the iteration is left. `filter` keeps the queue small. `keepsOrder`: once a line was lost, the later
   * ones are too, until the warning that tells of it is taken: so they can be read again from the files.
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

/** Not a generator: leaving one that waits for its next event would leave it subscribed until that event comes. */
class EventStream implements AsyncIterableIterator<EngineEvent> {
  /** Taken from `#head` on: shifting a long array costs its length each time. */
  #queue: EngineEvent[] = [];
  #head = 0;
  readonly #waiting: Array<(result: IteratorResult<EngineEvent>) => void> = [];
  readonly #detach: () => void;
  readonly #keepsOrder: boolean;
  #dropped = 0;
  #ended = false;

  constructor(bus: EventBus, filter: (event: EngineEvent) => boolean, signal: AbortSignal, keepsOrder: boolean) {
    this.#keepsOrder = keepsOrder;
    const unsubscribe = bus.subscribe((event) => {
      if (filter(event)) {
        this.#push(event);
      }
    });
    const onAbort = () => this.#end();
    this.#detach = () => {
      unsubscribe();
      signal.removeEventListener('abort', onAbort);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) {
      this.#end();
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<EngineEvent>> {
    const value = this.#shift() ?? this.#lossNotice();
    if (value !== undefined) {
      return Promise.resolve({ done: false, value });
    }
    if (this.#ended) {
      return Promise.resolve({ done: true, value: undefined });
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<EngineEvent>> {
    this.#queue = [];
    this.#head = 0;
    this.#dropped = 0;
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  #push(event: EngineEvent): void {
    const reader = this.#waiting.shift();
    if (reader !== undefined) {
      reader({ done: false, value: event });
    } else if (event.type === 'log' && this.#drops()) {
      this.#dropped += 1;
    } else {
      this.#queue.push(event);
    }
  }

  #drops(): boolean {
    return this.#queue.length - this.#head >= MAX_QUEUE || (this.#keepsOrder && this.#dropped > 0);
  }

  #shift(): EngineEvent | undefined {
    const event = this.#queue[this.#head];
    if (event === undefined) {
      return undefined;
    }
    this.#head += 1;
    if (this.#head === this.#queue.length || this.#head > MAX_QUEUE / 2) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return event;
  }

  #end(): void {
    this.#ended = true;
    this.#detach();
    for (const reader of this.#waiting.splice(0)) {
      reader({ done: true, value: undefined });
    }
  }

  #lossNotice(): EngineEvent | undefined {
    if (this.#dropped === 0) {
      return undefined;
    }
    const message = `${this.#dropped} log lines were too fast to show; they are in the log files`;
    this.#dropped = 0;
    return { type: 'warning', time: Date.now(), message };
  }
}
