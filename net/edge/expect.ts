import http, { type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { endToEnd } from '../http/end-to-end.ts';
import { requestHeaders } from './http/headers.ts';
import { MAX_HEADERS } from './http/limits.ts';
import type { Exchange } from './http/types.ts';
import type { Target, Upstreams } from './upstreams.ts';

/**
 * Forwards a request whose client waits for a word before it sends its body (`Expect: 100-continue`, RFC 9110, section 10.1.1): whether it may
 * is for the service to say. Uses Node's client on a connection of its own, because undici does not support Expect.
 */
export const forwardExpecting = async (
  exchange: Exchange,
  target: Target,
  upstreams: Upstreams,
  failed: (error: Error) => void,
): Promise<void> => {
  const socket = await upstreams.connect(target).catch((error: Error) => {
    failed(error);
  });
  if (!socket) {
    return;
  }
  try {
    sendExpecting(exchange, target, socket, failed);
  } catch (error) {
    // Node's library throws for some headers.
    socket.destroy();
    failed(error as Error);
  }
};

const sendExpecting = (exchange: Exchange, target: Target, socket: Duplex, failed: (error: Error) => void): void => {
  const { reply, body } = exchange;
  const headers = requestHeaders(exchange, target.service.hostHeader);
  const asked = http.request({
    method: exchange.method,
    path: exchange.path,
    headers: [...headers, 'expect', '100-continue', 'connection', 'close', ...(hasLength(headers) ? [] : ['transfer-encoding', 'chunked'])],
    maxHeaderSize: MAX_HEADERS,
    createConnection: () => socket,
  });
  reply.onAbort(() => asked.destroy());
  asked.once('error', (error) => (reply.hasHead ? reply.abort() : failed(error)));
  // Node ends the connection without an error when a service answers 101 to who did not ask for it.
  asked.once('close', () => reply.hasHead || failed(new Error('the service gave no answer')));
  asked.once('continue', () => {
    reply.interim(100, []);
    body?.pipe(asked);
    body?.once('close', () => body.readableEnded || asked.destroy(new Error('the client left')));
  });
  asked.once('response', (answer) => {
    try {
      relay(answer, exchange);
    } catch {
      // The service wrote a head that cannot be sent on.
      reply.abort();
      asked.destroy();
    }
    // The service said no: the body is not forwarded, and whatever the client still sends is dropped.
    body?.unpipe(asked);
    body?.resume();
  });
  asked.flushHeaders();
};

const hasLength = (headers: readonly string[]): boolean =>
  headers.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'content-length');

const relay = (answer: IncomingMessage, { reply }: Exchange): void => {
  reply.head(answer.statusCode ?? 502, answer.statusMessage ?? '', endToEnd(answer.rawHeaders));
  answer.on('data', (chunk: Buffer) => {
    if (!reply.write(chunk)) {
      answer.pause();
      reply.onDrain(() => answer.resume());
    }
  });
  answer.once('end', () => reply.end(answer.rawTrailers));
  answer.once('error', () => reply.abort());
};
