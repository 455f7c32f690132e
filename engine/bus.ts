import type { EngineEvent } from './events.ts';

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

  /** Events as an async iteration until the signal aborts; `filter` keeps the queue small. */
  async *stream(filter: (event: EngineEvent) => boolean, signal: AbortSignal): AsyncIterable<EngineEvent> {
    const queue: EngineEvent[] = [];
    let wake: () => void = () => {};
    let dropped = 0;
    const unsubscribe = this.subscribe((event) => {
      if (!filter(event)) {
        return;
      }
      if (queue.length >= MAX_QUEUE && event.type === 'log') {
        dropped += 1;
        return;
      }
      queue.push(event);
      wake();
    });
    const onAbort = () => wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      // What was queued before the signal aborted is still given.
      for (;;) {
        const event = queue.shift();
        if (event !== undefined) {
          yield event;
          continue;
        }
        if (signal.aborted) {
          return;
        }
        if (dropped > 0) {
          yield { type: 'warning', time: Date.now(), message: `${dropped} log lines were too fast to show; they are in the log files` };
          dropped = 0;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (signal.aborted || queue.length > 0) {
            resolve();
          }
        });
      }
    } finally {
      unsubscribe();
      signal.removeEventListener('abort', onAbort);
    }
  }
}

const MAX_QUEUE = 20_000;
