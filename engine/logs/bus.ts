import { onAbort } from '../../base/abort.ts';
import { AsyncQueue } from '../../base/queue.ts';
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
   * still given) or the iteration is left. `filter` keeps the queue small.
   */
  stream(filter: (event: EngineEvent) => boolean, signal: AbortSignal): AsyncIterableIterator<EngineEvent> {
    return new EventStream(this, filter, signal);
  }
}

const MAX_QUEUE = 20_000;

class EventStream implements AsyncIterableIterator<EngineEvent> {
  readonly #queue: AsyncQueue<EngineEvent>;
  #dropped = 0;

  constructor(bus: EventBus, filter: (event: EngineEvent) => boolean, signal: AbortSignal) {
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
    return this.#queue.size === 0 && this.#dropped > 0 ? Promise.resolve({ done: false, value: this.#lossNotice() }) : this.#queue.next();
  }

  return(): Promise<IteratorResult<EngineEvent>> {
    this.#dropped = 0;
    return this.#queue.return();
  }

  #push(event: EngineEvent): void {
    if (this.#queue.size >= MAX_QUEUE && event.type === 'log') {
      this.#dropped += 1;
    } else {
      void this.#queue.push(event);
    }
  }

  #lossNotice(): EngineEvent {
    const message = `${this.#dropped} log lines were too fast to show; they are in the log files`;
    this.#dropped = 0;
    return { type: 'warning', time: Date.now(), message };
  }
}
