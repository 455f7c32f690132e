import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { logger } from '../../base/log.ts';
import { type EdgeParts, findDestination } from './answer-exchange.ts';
import { readHttp1 } from './http/exchange.ts';
import { noAnswer } from './pages/answers.ts';
import { type EdgeAnswer, ERROR_HEADER } from './pages/error-page.ts';
import { forwardUpgrade } from './upgrade.ts';

const log = logger('edge');

/** Carries a request to change the protocol to the service that its Host names, or answers why not. Never throws. */
export const answerUpgrade = (
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  secure: boolean,
  parts: Pick<EdgeParts, 'directory' | 'domain' | 'upstreams'> & { readonly from?: string },
): void => {
  const read = readHttp1(request, secure);
  const exchange = read === undefined || parts.from === undefined ? read : { ...read, from: parts.from };
  const destination = exchange === undefined ? undefined : findDestination(exchange, parts);
  client.on('error', () => client.destroy());
  if (exchange === undefined || destination?.kind !== 'target') {
    endWith(client, destination?.kind === 'answer' ? destination.answer : { status: 400, code: 'EDGE_HOST' });
    return;
  }
  const { target } = destination;
  const asked = { exchange, client, head, protocol: request.headers.upgrade ?? 'websocket' };
  const failed = (error: Error): void => endWith(client, noAnswer(target.service, target.port, error));
  forwardUpgrade(asked, target, parts.upstreams, failed).catch((error: unknown) => {
    log.error('an upgrade failed', { error: String(error) });
    client.destroy();
  });
};

/** An answer without a page. */
export const endWith = (client: Duplex, { status, code }: Pick<EdgeAnswer, 'status' | 'code'>): void => {
  client.end(`HTTP/1.1 ${status} \r\n${ERROR_HEADER}: ${code}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`, () => client.destroy());
};
