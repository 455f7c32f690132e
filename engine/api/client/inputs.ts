/** A queue of messages to send that can be iterated once; `end` finishes the iteration. */
export class Inputs<T> implements AsyncIterable<T> {
  readonly #queue: Array<{ readonly message: T; readonly sent: () => void }> = [];
  #wake: () => void = () => {};
  #ended = false;

  /** Resolves when the message is on its way (or will never be), so that a fast writer can wait. */
  send(message: T): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended) {
        resolve();
        return;
      }
      this.#queue.push({ message, sent: resolve });
      this.#wake();
    });
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    try {
      for (;;) {
        const next = this.#queue.shift();
        if (next !== undefined) {
          next.sent();
          yield next.message;
          continue;
        }
        if (this.#ended) {
          return;
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#ended = true;
      for (const { sent } of this.#queue.splice(0)) {
        sent();
      }
    }
  }
}
