/** A promise that a test settles. */
export class Cue<T = void> {
  readonly promise: Promise<T>;
  resolve: (value: T) => void = () => {};
  reject: (error: unknown) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** A queue that is iterated once; `end` and `fail` come after what was pushed. */
export class Pushable<T> implements AsyncIterable<T> {
  readonly #queue: T[] = [];
  #over = false;
  #error: Error | undefined;
  #wake: () => void = () => {};

  push(item: T): void {
    if (!this.#over) {
      this.#queue.push(item);
      this.#wake();
    }
  }

  end(): void {
    this.#over = true;
    this.#wake();
  }

  fail(error: Error): void {
    if (!this.#over) {
      this.#error = error;
      this.end();
    }
  }

  /** Takes what nobody has read. */
  rest(): T[] {
    return this.#queue.splice(0);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const item = this.#queue.shift();
      if (item !== undefined) {
        yield item;
      } else if (this.#error !== undefined) {
        throw this.#error;
      } else if (this.#over) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
