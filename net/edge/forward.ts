import { PassThrough } from 'node:stream';
import type { Dispatcher, Pool } from 'undici';
import { endToEnd, type RawHeaders } from '../http/end-to-end.ts';
import { requestHeaders } from './http/headers.ts';
import type { Exchange } from './http/types.ts';
import type { Target, Upstreams } from './upstreams.ts';

/** What to do with an exchange whose service gave no answer, or an answer that the edge replaces. */
export interface Outcomes {
  /** There was no answer: the connection failed or broke before its head. */
  failed(error: Error): void;
  /** Whether to look at this answer's text before it is forwarded: it may be the refusal of a dev server. */
  wants(status: number, headers: RawHeaders): boolean;
  /** Gets such a text, or its first 64 KiB. True if it has answered the exchange itself. */
  inspect(status: number, text: string): boolean;
}

/** Sends a request to its service over HTTP/1.1 and the answer back, both at the speed of the slower side. */
export const forward = (exchange: Exchange, target: Target, upstreams: Upstreams, outcomes: Outcomes): void => {
  new Forwarding(exchange, target, upstreams, outcomes).send();
};

/** Takes what undici reports, one for each attempt. */
class Forwarding implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange;
  readonly #target: Target;
  readonly #upstreams: Upstreams;
  readonly #outcomes: Outcomes;
  #controller: Dispatcher.DispatchController | undefined;
  #aborted = false;
  #isRetry = false;
  /** The answer is held back until its text has been looked at. */
  #held: Held | undefined;

  constructor(exchange: Exchange, target: Target, upstreams: Upstreams, outcomes: Outcomes) {
    this.#exchange = exchange;
    this.#target = target;
    this.#upstreams = upstreams;
    this.#outcomes = outcomes;
    exchange.reply.onAbort(() => {
      this.#aborted = true;
      this.#controller?.abort(new Error('the client left'));
    });
  }

  send(): void {
    this.#upstreams
      .pool(this.#target)
      .then((pool) => this.#dispatch(pool))
      .catch((error: unknown) => this.#outcomes.failed(error as Error));
  }

  #dispatch(pool: Pool): void {
    const exchange = this.#exchange;
    const target = this.#target;
    pool.dispatch(
      {
        path: exchange.path,
        method: exchange.method as Dispatcher.HttpMethod,
        headers: requestHeaders(exchange, target.service.hostHeader),
        body: this.#body(),
      },
      this,
    );
  }

  /** A stream of its own, because undici destroys it when the answer comes early, and the rest of the client's body must still be read. */
  #body(): PassThrough | null {
    const { body } = this.#exchange;
    if (body === undefined) {
      return null;
    }
    const passed = new PassThrough();
    passed.on('error', () => {});
    passed.once('close', () => {
      body.unpipe(passed);
      body.resume();
    });
    body.once('error', (error) => passed.destroy(error));
    // A body cut short must not look complete.
    body.once('close', () => body.readableEnded || passed.destroy(new Error('the client left')));
    body.pipe(passed);
    return passed;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted) {
      controller.abort(new Error('the client left'));
    }
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _parsed: unknown, text?: string): void {
    const headers = endToEnd(decode(controller.rawHeaders));
    if (status < 200) {
      this.#exchange.reply.interim(status, headers);
    } else if (this.#outcomes.wants(status, headers)) {
      this.#held = { status, text: text ?? '', headers, chunks: [], bytes: 0 };
    } else {
      this.#exchange.reply.head(status, text ?? '', headers);
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#held !== undefined) {
      this.#held.chunks.push(chunk);
      this.#held.bytes += chunk.length;
      if (this.#held.bytes >= MOST_HELD) {
        this.#release();
      }
      return;
    }
    const { reply } = this.#exchange;
    if (!reply.write(chunk)) {
      controller.pause();
      reply.onDrain(() => controller.resume());
    }
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.#held !== undefined && this.#release()) {
      return;
    }
    this.#exchange.reply.end(controller.rawTrailers == null ? [] : decode(controller.rawTrailers));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const exchange = this.#exchange;
    if (this.#aborted) {
      return;
    }
    if (exchange.reply.hasHead) {
      exchange.reply.abort();
      return;
    }
    // A kept connection may be closed by the service in the very moment it is used again (RFC 9110, section 9.2.2).
    if (!this.#isRetry && isBroken(error) && exchange.body === undefined && SAFE.has(exchange.method)) {
      this.#isRetry = true;
      // What was held back is of the attempt that failed.
      this.#held = undefined;
      this.send();
      return;
    }
    this.#outcomes.failed(error);
  }

  /** Sends the answer that was held back. True if the exchange was answered in another way instead. */
  #release(): boolean {
    const held = this.#held as Held;
    this.#held = undefined;
    if (this.#outcomes.inspect(held.status, Buffer.concat(held.chunks).toString('utf8'))) {
      this.#aborted = true;
      this.#controller?.abort(new Error('answered otherwise'));
      return true;
    }
    this.#exchange.reply.head(held.status, held.text, held.headers);
    for (const chunk of held.chunks) {
      this.#exchange.reply.write(chunk);
    }
    return false;
  }
}

interface Held {
  readonly status: number;
  readonly text: string;
  readonly headers: string[];
  readonly chunks: Uint8Array[];
  bytes: number;
}

const MOST_HELD = 64 * 1024;
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

const isBroken = (error: Error): boolean => ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');

/** undici gives header values as it read them: bytes, each a Latin-1 character. */
const decode = (raw: unknown): string[] =>
  ((raw ?? []) as Array<Buffer | string>).map((part) => (typeof part === 'string' ? part : part.toString('latin1')));
