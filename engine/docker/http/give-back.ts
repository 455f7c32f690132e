import type { Handler, Routes } from './router.ts';

const REST_MS = 10_000;

/**
 * V8 collects when something is allocated: a server at rest would keep what builds and archives left (some 70 MiB) until somebody comes
 * again. So it collects once, when nobody has connected, and no request of the JSON API or gRPC has begun or ended, for ten seconds. `collect`: undefined where Node was started without `--expose-gc`.
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

  /** The same routes, whose requests are seen. */
  watch(routes: Routes): Routes {
    const seen =
      (handler: Handler): Handler =>
      async (call) => {
        this.see();
        try {
          await handler(call);
        } finally {
          this.see();
        }
      };
    return Object.fromEntries(Object.entries(routes).map(([route, handler]) => [route, seen(handler)]));
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
