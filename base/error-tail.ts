/** The word by which a line tells of an error; compilers, tests and stack traces print much behind it. */
const ERROR = /\berror\b|\bfatal\b|\bfailed\b|\bpanic\b|not found|no such file|\bcannot\b|exception/i;
const BEFORE = 2;
const AFTER = 3;

/** The last lines of an output and, where that is above them, the first one that tells of an error with its neighbours, in bounded memory. */
export class ErrorTail {
  readonly #most: number;
  #last: string[] = [];
  #count = 0;
  #error: { readonly at: number; readonly lines: string[] } | undefined;

  /** `most`: how many of the last lines. */
  constructor(most: number) {
    this.#most = most;
  }

  add(line: string): void {
    if (this.#error === undefined && ERROR.test(line)) {
      this.#error = { at: this.#count, lines: [...this.#last.slice(-BEFORE), line] };
    } else if (this.#error !== undefined && this.#count <= this.#error.at + AFTER) {
      this.#error.lines.push(line);
    }
    this.#count += 1;
    this.#last.push(line);
    if (this.#last.length > this.#most) {
      this.#last.shift();
    }
  }

  /** Oldest first; `…` stands for what is left out. */
  get lines(): string[] {
    const from = this.#count - this.#last.length;
    if (this.#error === undefined || this.#error.at >= from) {
      return [...this.#last];
    }
    const shown = this.#error.lines.slice(0, Math.max(1, this.#error.lines.length - Math.max(0, this.#error.at + AFTER + 1 - from)));
    return [...shown, '…', ...this.#last];
  }
}
