import http, { type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { endToEnd } from '../http/end-to-end.ts';
import { join } from '../ports/join.ts';
import { requestHeaders } from './http/headers.ts';
import { MAX_HEADERS } from './http/limits.ts';
import type { Exchange } from './http/types.ts';
import type { Target, Upstreams } from './upstreams.ts';

/** A request to change the protocol of its connection, and that connection. */
export interface UpgradeRequest {
  readonly exchange: Omit<Exchange, 'reply'>;
  readonly protocol: string;
  readonly client: Duplex;
  /** What the client sent after its request. */
  readonly head: Buffer;
}

/**
 * Forwards an upgrade (WebSocket: RFC 6455). The service's answer goes back unchanged; after a 101, bytes go both ways. An
 * answer that refuses is forwarded whole, then the connection is closed. `failed` is called if there was no answer.
 */
export const forwardUpgrade = async (
  request: UpgradeRequest,
  target: Target,
  upstreams: Upstreams,
  failed: (error: Error) => void,
): Promise<void> => {
  const { client } = request;
  client.on('error', () => client.destroy());
  let upstream: Duplex;
  try {
    upstream = await upstreams.connect(target);
  } catch (error) {
    failed(error as Error);
    return;
  }
  if (client.destroyed) {
    upstream.destroy();
    return;
  }
  try {
    exchangeHeads(request, target, upstream, failed);
  } catch (error) {
    // Node's library throws for some headers.
    upstream.destroy();
    failed(error as Error);
  }
};

const exchangeHeads = (request: UpgradeRequest, target: Target, upstream: Duplex, failed: (error: Error) => void): void => {
  const { exchange, client, head, protocol } = request;
  const headers = [...requestHeaders(exchange, target.service.hostHeader), 'connection', 'upgrade', 'upgrade', protocol];
  const asked = http.request({
    method: exchange.method,
    path: exchange.path,
    headers,
    maxHeaderSize: MAX_HEADERS,
    createConnection: () => upstream,
  });
  client.once('close', () => asked.destroy());
  let isAnswered = false;
  asked.once('error', (error) => (client.writable && !isAnswered ? failed(error) : client.destroy()));
  asked.once('upgrade', (answer, socket, first) => {
    client.write(headOf(answer, ['connection', 'upgrade', 'upgrade', answer.headers.upgrade ?? protocol]), 'latin1');
    client.write(first);
    (socket as Socket).write(head);
    join(client, socket);
  });
  asked.once('response', (answer) => {
    isAnswered = true;
    client.write(headOf(answer, ['connection', 'close']), 'latin1');
    answer.pipe(client);
    answer.once('error', () => client.destroy());
  });
  asked.end();
};

/** A body of unknown length needs no marks: the connection ends with it. */
const headOf = (answer: IncomingMessage, added: readonly string[]): string => {
  const raw = [...endToEnd(answer.rawHeaders), ...added];
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage ?? ''}`];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    lines.push(`${raw[at]}: ${raw[at + 1]}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
};
