/** Counts by whole seconds of the clock. */
export class RateMeter {
  readonly #now: () => number;
  #second = 0;
  #count = 0;
  #last = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Of the last full second, or of this one where it has more already. */
  get perSecond(): number {
    this.#turn();
    return Math.max(this.#last, this.#count);
  }

  count(): void {
    this.#turn();
    this.#count += 1;
  }

  #turn(): void {
    const second = Math.trunc(this.#now() / 1000);
    if (second !== this.#second) {
      this.#last = second === this.#second + 1 ? this.#count : 0;
      this.#second = second;
      this.#count = 0;
    }
  }
}
