import type { ServerResponse } from 'node:http';
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { endToEnd, type RawHeaders } from '../../http/end-to-end.ts';
import type { Reply } from './types.ts';

/** A reply over HTTP/1.1. */
export class Http1Reply implements Reply {
  readonly #response: ServerResponse;
  hasHead = false;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  head(status: number, text: string, headers: RawHeaders, ends = false): void {
    const response = this.#response;
    this.hasHead = true;
    response.sendDate = false;
    response.writeHead(status, text, headers as string[]);
    if (ends) {
      response.end();
      return;
    }
    // Head and first bytes go together if these are there already; the head of a stream of events does not wait for them.
    response.socket?.cork();
    process.nextTick(() => {
      if (!response.writableEnded && !response.destroyed) {
        response.flushHeaders();
      }
      response.socket?.uncork();
    });
  }

  interim(status: number, headers: RawHeaders): void {
    try {
      this.#interim(status, headers);
    } catch {
      // A hint that cannot be sent on, such as a bad Link: the answer does not need it.
    }
  }

  #interim(status: number, headers: RawHeaders): void {
    if (status === 103) {
      const hints: Record<string, string[]> = {};
      for (let at = 0; at + 1 < headers.length; at += 2) {
        const name = (headers[at] as string).toLowerCase();
        hints[name] = [...(hints[name] ?? []), headers[at + 1] as string];
      }
      if (hints.link !== undefined) {
        this.#response.writeEarlyHints(hints as { link: string[] });
      }
    } else if (status === 102) {
      this.#response.writeProcessing();
    } else if (status === 100) {
      this.#response.writeContinue();
    }
  }

  write(chunk: Uint8Array): boolean {
    return this.#response.write(chunk);
  }

  end(trailers: RawHeaders = []): void {
    if (trailers.length > 0 && this.#response.chunkedEncoding) {
      try {
        this.#response.addTrailers(pairsOf(endToEnd(trailers)));
      } catch {
        this.abort();
        return;
      }
    }
    this.#response.end();
  }

  onDrain(listener: () => void): void {
    this.#response.once('drain', listener);
  }

  onAbort(listener: () => void): void {
    this.#response.once('close', () => {
      if (!this.#response.writableFinished) {
        listener();
      }
    });
  }

  abort(): void {
    this.#response.destroy();
  }
}

const pairsOf = (raw: RawHeaders): Array<[string, string]> => {
  const pairs: Array<[string, string]> = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    pairs.push([raw[at] as string, raw[at + 1] as string]);
  }
  return pairs;
};

/** A reply over one stream of HTTP/2. */
export class Http2Reply implements Reply {
  readonly #stream: ServerHttp2Stream;
  readonly #isHead: boolean;
  #trailers: RawHeaders = [];
  hasHead = false;

  constructor(stream: ServerHttp2Stream, method: string) {
    this.#stream = stream;
    this.#isHead = method === 'HEAD';
  }

  head(status: number, _text: string, headers: RawHeaders, ends = false): void {
    if (this.#stream.destroyed || this.#stream.headersSent) {
      return;
    }
    this.hasHead = true;
    const sent: OutgoingHttpHeaders = Object.assign(collect(headers), { ':status': status });
    const endStream = ends || this.#isHead || status === 204 || status === 304;
    if (!endStream) {
      // Known only after the body: gRPC's status is a trailer.
      this.#stream.once('wantTrailers', () => this.#sendTrailers());
    }
    this.#stream.respond(sent, { endStream, waitForTrailers: !endStream });
  }

  /** Called by the library itself, where nothing catches what this would throw. */
  #sendTrailers(): void {
    try {
      this.#stream.sendTrailers(collect(endToEnd(this.#trailers)));
    } catch {
      this.abort();
    }
  }

  interim(status: number, headers: RawHeaders): void {
    if (this.#stream.destroyed || this.#stream.headersSent) {
      return;
    }
    try {
      this.#stream.additionalHeaders(Object.assign(collect(headers), { ':status': status }));
    } catch {
      // A hint that cannot be sent on: the answer does not need it.
    }
  }

  write(chunk: Uint8Array): boolean {
    return this.#stream.writable ? this.#stream.write(chunk) : true;
  }

  end(trailers: RawHeaders = []): void {
    this.#trailers = trailers;
    if (this.#stream.writable) {
      this.#stream.end();
    }
  }

  onDrain(listener: () => void): void {
    this.#stream.once('drain', listener);
  }

  onAbort(listener: () => void): void {
    this.#stream.once('close', () => {
      if (!this.#stream.writableFinished || this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
        listener();
      }
    });
  }

  abort(): void {
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}

/** In the form of HTTP/2: lower case, several of one name as a list. */
export const collect = (raw: RawHeaders): OutgoingHttpHeaders => {
  const headers: Record<string, string | string[]> = Object.create(null);
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] as string).toLowerCase();
    const value = raw[at + 1] as string;
    const before = headers[name];
    if (before === undefined) {
      headers[name] = value;
    } else if (LISTS.has(name)) {
      headers[name] = `${before}, ${value}`;
    } else if (!SINGLE.has(name)) {
      headers[name] = Array.isArray(before) ? [...before, value] : [before, value];
    }
  }
  return headers;
};

/** A second one of these makes Node's library throw: the first counts. The same as its own list. */
const SINGLE = new Set([
  ...['access-control-allow-credentials', 'access-control-max-age', 'access-control-request-method', 'age', 'authorization'],
  ...['content-length', 'content-location', 'content-md5', 'content-range', 'content-type', 'date', 'dnt', 'etag', 'expires', 'from'],
  ...['host', 'if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified', 'location'],
  ...['max-forwards', 'proxy-authorization', 'range', 'referer', 'retry-after', 'server', 'tk', 'upgrade-insecure-requests'],
  ...['user-agent', 'x-content-type-options'],
]);
/** So do these, but their values are lists, which one header can hold. */
const LISTS = new Set(['content-encoding', 'content-language']);
