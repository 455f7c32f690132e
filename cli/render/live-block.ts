import type { OutputStream } from '../core/context.ts';
import type { Terminal } from '../core/terminal.ts';

export interface LiveBlockOptions {
  readonly stream: OutputStream;
  readonly terminal: Terminal;
  /** The lines to draw. The last time `final` is set; then they may be more than fit on the screen. */
  readonly draw: (final: boolean) => readonly string[];
  /** Milliseconds between frames. */
  readonly interval?: number;
}

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';

/**
 * A few lines at the bottom of the terminal that are redrawn at most every 100 ms.
 * Other output goes through `printAbove` and appears above them.
 */
export class LiveBlock {
  readonly #options: LiveBlockOptions;
  #height = 0;
  #timer: NodeJS.Timeout | undefined;
  #leave: (() => void) | undefined;
  #closed = false;

  constructor(options: LiveBlockOptions) {
    this.#options = options;
  }

  /** Draws within one interval, and then repeatedly, because elapsed times change. */
  touch(): void {
    if (this.#closed || this.#timer) {
      return;
    }
    const { stream, terminal } = this.#options;
    this.#leave ??= terminal.enter({ enter: () => stream.write(HIDE_CURSOR), leave: () => stream.write(SHOW_CURSOR) });
    this.#paint(false);
    this.#timer = setInterval(() => this.#paint(false), this.#options.interval ?? 100).unref();
  }

  printAbove(write: () => void): void {
    if (this.#height > 0) {
      this.#options.stream.write(this.#clear());
      this.#height = 0;
    }
    write();
  }

  close(): void {
    if (this.#closed) {
      return;
    }
    clearInterval(this.#timer);
    if (this.#leave) {
      this.#paint(true);
      this.#leave();
    }
    // The last drawing stays: later output must not clear it.
    this.#height = 0;
    this.#closed = true;
  }

  #paint(final: boolean): void {
    const lines = this.#options.draw(final);
    const clear = this.#clear();
    this.#height = lines.length;
    this.#options.stream.write(clear + lines.map((line) => `${line}\n`).join(''));
  }

  #clear(): string {
    return this.#height === 0 ? '' : `\u001b[${this.#height}A\r\u001b[J`;
  }
}
