import type { OutputChunk } from '../../guest/types.ts';

/** What a reader may be behind before the workload has to wait for it. */
const MAX_BEHIND = 1 << 20;

/** The output of a run for one attached client, byte for byte. A slow reader holds the workload up, as a terminal does. */
export class OutputTap implements AsyncIterable<OutputChunk> {
  readonly #onClose: (tap: OutputTap) => void;
  #queue: OutputChunk[] = [];
  #bytes = 0;
  #ended = false;
  #wake: () => void = () => {};
  #drained: () => void = () => {};

  constructor(onClose: (tap: OutputTap) => void) {
    this.#onClose = onClose;
  }

  /** Resolves when there is room for more. */
  async push(chunk: OutputChunk): Promise<void> {
    if (this.#ended) {
      return;
    }
    this.#queue.push(chunk);
    this.#bytes += chunk.data.length;
    this.#wake();
    if (this.#bytes > MAX_BEHIND) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
  }

  /** No more will come; what is queued can still be read. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Nobody reads any more. */
  close(): void {
    this.end();
    this.#queue = [];
    this.#drained();
    this.#onClose(this);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<OutputChunk> {
    try {
      for (;;) {
        const next = this.#queue.shift();
        if (next !== undefined) {
          this.#bytes -= next.data.length;
          if (this.#bytes <= MAX_BEHIND) {
            this.#drained();
          }
          yield next;
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.close();
    }
  }
}
