const REST_MS = 10_000;

/**
 * V8 collects when something is allocated: a server at rest would keep what builds and archives left (some 70 MiB) until somebody comes
 * again. So it collects once, when nobody has connected for ten seconds. `collect`: undefined where Node was started without `--expose-gc`.
 */
export class GiveBack {
  readonly #collect: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(collect: (() => void) | undefined = globalThis.gc === undefined ? undefined : () => void globalThis.gc?.()) {
    this.#collect = collect;
  }

  /** Somebody connected, or left. */
  see(): void {
    clearTimeout(this.#timer);
    if (this.#collect !== undefined) {
      this.#timer = setTimeout(this.#collect, REST_MS).unref();
    }
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
