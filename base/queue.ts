import { onAbort } from './abort.ts';
export interface QueueOptions<T> {
  /** How much may be queued before `push` waits: items, or the sum of their weights. Without it, `push` never waits. */
  readonly limit?: number;
  /** The weight of an item; it must be the same at each call. */
  readonly weigh?: (item: T) => number;
  /** Maximum number of queued items; the oldest are dropped. */
  readonly keepNewest?: number;
  /** Maximum weight of the queued items; the oldest are dropped, except the newest one. */
  readonly keepWeight?: number;
  /** Called once, when the reader has left or has read everything after the end. */
  readonly onClose?: () => void;
}

/**
 * A queue between a writer, which pushes, and a reader, which uses `for await`. The writer ends it with
 * `end` or `fail` (queued items are still read), the reader with `close` (queued items are dropped); leaving a
 * `for await` closes it. It is not a generator, because leaving one that waits for its next item
 * would take until that item comes. With several readers each item goes to one of them.
 */
export class AsyncQueue<T> implements AsyncIterableIterator<T> {
  readonly #options: QueueOptions<T>;
  readonly #weigh: (item: T) => number;
  /** Reading starts at `#head`, because shifting a long array takes time proportional to its length. */
  #items: T[] = [];
  #head = 0;
  /** Sum of the weights ever pushed. */
  #pushed = 0;
  #taken = 0;
  #writers: Array<{ readonly until: number; readonly resume: () => void }> = [];
  #readers: Array<Reader<T>> = [];
  #ended = false;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: QueueOptions<T> = {}) {
    this.#options = options;
    this.#weigh = options.weigh ?? (() => 1);
  }

  /** How many items wait to be read. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  /** The newest item, if it was not read yet. */
  get last(): T | undefined {
    return this.size === 0 ? undefined : this.#items.at(-1);
  }

  /**
   * Adds an item; after the end it is dropped. Resolves when at most `limit` is left unread of everything pushed up to
   * this item (with a limit of 0: when it has been read), or when the reader has left. Never rejects.
   */
  push(item: T): Promise<void> {
    if (this.#ended) {
      return Promise.resolve();
    }
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.settle({ done: false, value: item });
      return Promise.resolve();
    }
    this.#items.push(item);
    this.#pushed += this.#weigh(item);
    const { keepNewest = Number.POSITIVE_INFINITY, keepWeight = Number.POSITIVE_INFINITY } = this.#options;
    while (this.size > keepNewest || (this.size > 1 && this.#pushed - this.#taken > keepWeight)) {
      this.#shift();
    }
    const until = this.#pushed - (this.#options.limit ?? Number.POSITIVE_INFINITY);
    return this.#taken >= until ? Promise.resolve() : new Promise((resume) => this.#writers.push({ until, resume }));
  }

  /** Replaces `last`. */
  replaceLast(item: T): void {
    if (this.size > 0) {
      this.#pushed += this.#weigh(item) - this.#weigh(this.#items[this.#items.length - 1] as T);
      this.#items[this.#items.length - 1] = item;
    }
  }

  /** Ends the queue; queued items can still be read. */
  end(): void {
    if (this.#ended) {
      return;
    }
    this.#ended = true;
    for (const reader of this.#readers.splice(0)) {
      this.#finish(reader);
    }
  }

  /** Like `end`, but readers get `error` after the queued items. */
  fail(error: unknown): void {
    if (!this.#ended) {
      this.#failure = { error };
      this.end();
    }
  }

  /** The reader has left: queued items are dropped, and waiting calls of `push` resolve. */
  close(): void {
    this.#items = [];
    this.#head = 0;
    this.#failure = undefined;
    this.end();
    for (const { resume } of this.#writers.splice(0)) {
      resume();
    }
    this.#afterClose();
  }

  /** The next item; done after the end. Rejects with the error of `fail`, or with the signal's reason, in which case no item is taken. */
  take(signal?: AbortSignal): Promise<IteratorResult<T>> {
    return new Promise((resolve, reject) => {
      let leave = () => {};
      const reader: Reader<T> = {
        settle: (result) => {
          leave();
          resolve(result);
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      if (signal?.aborted) {
        reject(signal.reason);
      } else if (this.size > 0) {
        reader.settle({ done: false, value: this.#shift() });
      } else if (this.#ended) {
        this.#finish(reader);
      } else {
        this.#readers.push(reader);
        leave = onAbort(signal, () => {
          this.#readers.splice(this.#readers.indexOf(reader), 1);
          reject(signal?.reason);
        });
      }
    });
  }

  next(): Promise<IteratorResult<T>> {
    return this.take();
  }

  return(): Promise<IteratorResult<T>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** For callers that end an iteration with an error of their own, as Connect does. */
  throw(error: unknown): Promise<IteratorResult<T>> {
    this.close();
    return Promise.reject(error);
  }

  /** Takes all queued items at once. */
  takeAll(): T[] {
    return Array.from({ length: this.size }, () => this.#shift());
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #shift(): T {
    const item = this.#items[this.#head] as T;
    this.#items[this.#head] = undefined as T;
    this.#head += 1;
    if (this.#head === this.#items.length || this.#head > MAX_DEAD) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    this.#taken += this.#weigh(item);
    while (this.#writers[0] !== undefined && this.#writers[0].until <= this.#taken) {
      this.#writers.shift()?.resume();
    }
    return item;
  }

  #finish(reader: Reader<T>): void {
    if (this.#failure === undefined) {
      reader.settle({ done: true, value: undefined });
    } else {
      reader.fail(this.#failure.error);
    }
    this.#afterClose();
  }

  #afterClose(): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#options.onClose?.();
    }
  }
}

interface Reader<T> {
  readonly settle: (result: IteratorResult<T>) => void;
  readonly fail: (error: unknown) => void;
}

/** How many slots of items already read may stay at the front of the array before they are cut off. */
const MAX_DEAD = 10_000;
