import http2, { type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import { requestHeaders } from './http/headers.ts';
import type { Exchange } from './http/types.ts';
import type { Target, Upstreams } from './upstreams.ts';

/** gRPC is HTTP/2 with trailers on both sides; everything else is spoken to services as HTTP/1.1. */
export const isGrpc = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/grpc(?:[+;]|$)/.test(contentType);

/** Sends exchanges to services that speak HTTP/2 without TLS (prior knowledge): one connection for each port of a service. */
export class GrpcForwarder {
  readonly #upstreams: Upstreams;
  readonly #sessions = new Map<string, Promise<ClientHttp2Session>>();

  constructor(upstreams: Upstreams) {
    this.#upstreams = upstreams;
  }

  /** `failed` is called if there was no answer. */
  async forward(exchange: Exchange, target: Target, failed: (error: Error) => void): Promise<void> {
    try {
      carry(await this.#session(target), exchange, target, failed);
    } catch (error) {
      failed(error as Error);
    }
  }

  close(): void {
    for (const opening of this.#sessions.values()) {
      opening.then(
        (session) => session.destroy(),
        () => {},
      );
    }
    this.#sessions.clear();
  }

  #session(target: Target): Promise<ClientHttp2Session> {
    const key = `${target.service.host}:${target.port}`;
    const known = this.#sessions.get(key);
    if (known !== undefined) {
      return known;
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
      if (this.#sessions.get(key) === opening) {
        this.#sessions.delete(key);
      }
    };
    opening.catch(forget);
    this.#sessions.set(key, opening);
    return opening;
  }
}

const carry = (session: ClientHttp2Session, exchange: Exchange, target: Target, failed: (error: Error) => void): void => {
  const { reply, body } = exchange;
  const headers: Record<string, string | string[]> = Object.create(null);
  const raw = requestHeaders(exchange, target.service.hostHeader);
  // `host` came first; HTTP/2 says it in a field of its own.
  for (let at = 2; at + 1 < raw.length; at += 2) {
    const name = (raw[at] as string).toLowerCase();
    const before = headers[name];
    headers[name] = before === undefined ? (raw[at + 1] as string) : [before, raw[at + 1] as string].flat();
  }
  Object.assign(headers, {
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
  body?.pipe(stream);
};

const rawOf = (headers: IncomingHttpHeaders): string[] =>
  Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(':') || value === undefined ? [] : [value].flat().flatMap((each) => [name, each]),
  );
