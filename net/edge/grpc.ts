import http2, { type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import type { NameDirectory } from '../names/directory.ts';
import { requestHeaders } from './http/headers.ts';
import { collect } from './http/reply.ts';
import type { Exchange } from './http/types.ts';
import { keyOf, type Target, type Upstreams } from './upstreams.ts';

/** gRPC is HTTP/2 with trailers on both sides; everything else is spoken to services as HTTP/1.1. */
export const isGrpc = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/grpc(?:[+;]|$)/.test(contentType);

/** Sends exchanges to services that speak HTTP/2 without TLS (prior knowledge): one connection for each port of a service. */
export class GrpcForwarder {
  readonly #upstreams: Upstreams;
  readonly #sessions = new Map<string, { readonly opening: Promise<ClientHttp2Session>; readonly target: Target }>();
  readonly #leave: () => void;

  constructor(upstreams: Upstreams, directory: NameDirectory) {
    this.#upstreams = upstreams;
    this.#leave = directory.onChange(() => this.#forgetMoved());
  }

  /** `failed` is called if there was no answer. */
  async forward(exchange: Exchange, target: Target, failed: (error: Error) => void): Promise<void> {
    try {
      let session = await this.#session(target);
      if (session.closed || session.destroyed) {
        // It ended in this very moment, before that was told.
        this.#sessions.delete(keyOf(target));
        session = await this.#session(target);
      }
      carry(session, exchange, target, failed);
    } catch (error) {
      failed(error as Error);
    }
  }

  close(): void {
    this.#leave();
    for (const { opening } of this.#sessions.values()) {
      opening.then(
        (session) => session.destroy(),
        () => {},
      );
    }
    this.#sessions.clear();
  }

  #session(target: Target): Promise<ClientHttp2Session> {
    const key = keyOf(target);
    const known = this.#sessions.get(key);
    if (known !== undefined) {
      return known.opening;
    }
    const opening = this.#upstreams.connect(target).then((socket) => {
      const session = http2.connect('http://service', { createConnection: () => socket });
      session.on('error', () => {});
      // A service that ends gracefully takes no new calls on this connection.
      session.once('goaway', () => forget());
      session.once('close', () => forget());
      return session;
    });
    const forget = () => {
      if (this.#sessions.get(key)?.opening === opening) {
        this.#sessions.delete(key);
      }
    };
    opening.catch(forget);
    this.#sessions.set(key, { opening, target });
    return opening;
  }

  /** A connection does not follow a name that another service has by now; calls under way end as they would. */
  #forgetMoved(): void {
    for (const [key, { opening, target }] of this.#sessions) {
      if (!this.#upstreams.isCurrent(target)) {
        this.#sessions.delete(key);
        opening.then(
          (session) => session.close(),
          () => {},
        );
      }
    }
  }
}

const carry = (session: ClientHttp2Session, exchange: Exchange, target: Target, failed: (error: Error) => void): void => {
  const { reply, body } = exchange;
  const raw = requestHeaders(exchange, target.service.hostHeader);
  // `host` came first; HTTP/2 says it in a field of its own.
  const headers = Object.assign(collect(raw.slice(2)), {
    te: 'trailers',
    ':method': exchange.method,
    ':path': exchange.path,
    ':scheme': 'http',
    ':authority': raw[1] as string,
  });
  const stream = session.request(headers, { endStream: body === undefined });
  let trailers: string[] = [];
  reply.onAbort(() => stream.close(http2.constants.NGHTTP2_CANCEL));
  stream.on('response', (answer: IncomingHttpHeaders & { ':status'?: number }, flags: number) => {
    const ends = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    try {
      reply.head(answer[':status'] ?? 502, '', rawOf(answer), ends);
    } catch {
      // The service wrote a head that cannot be sent on.
      reply.abort();
      stream.close(http2.constants.NGHTTP2_CANCEL);
    }
  });
  stream.on('trailers', (answer: IncomingHttpHeaders) => {
    trailers = rawOf(answer);
  });
  stream.on('data', (chunk: Buffer) => {
    if (!reply.write(chunk)) {
      stream.pause();
      reply.onDrain(() => stream.resume());
    }
  });
  stream.once('end', () => reply.end(trailers));
  stream.once('error', (error) => (reply.hasHead ? reply.abort() : failed(error)));
  stream.once('close', () => {
    if (!reply.hasHead && stream.rstCode !== http2.constants.NGHTTP2_CANCEL) {
      failed(new Error('the service closed the stream'));
    } else if (reply.hasHead && stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR) {
      reply.abort();
    }
  });
  // A body cut short must not look complete.
  body?.once('error', () => stream.close(http2.constants.NGHTTP2_CANCEL));
  body?.once('close', () => body.readableEnded || stream.close(http2.constants.NGHTTP2_CANCEL));
  body?.pipe(stream);
};

const rawOf = (headers: IncomingHttpHeaders): string[] =>
  Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(':') || value === undefined ? [] : [value].flat().flatMap((each) => [name, each]),
  );
