import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { type Refusal, refuse } from './guard.ts';

/** Only programs of this host. */
const ADDRESS = '127.0.0.1';

const REQUEST_MS = 30_000;

export interface LoopbackServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface Listening {
  readonly port: number;
  readonly token: string;
  /** Paths that are answered without the token. */
  readonly open: readonly string[];
  /** How long a request may take to be here, its body included. */
  readonly requestMs?: number;
}

/** Answers requests at 127.0.0.1 that are not refused (see guard.ts). `port` 0: one that is free. Throws NET_PORT_IN_USE. */
export const listenOnLoopback = async (
  { port, token, open, requestMs = REQUEST_MS }: Listening,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  upgrade?: (request: IncomingMessage, connection: Duplex, head: Buffer) => void,
): Promise<LoopbackServer> => {
  const refusalOf = (request: IncomingMessage): Refusal | undefined =>
    refuse(request, token, open.includes((request.url ?? '').split('?')[0] ?? ''));
  const limits = { requestTimeout: requestMs, headersTimeout: requestMs, connectionsCheckingInterval: requestMs };
  // Clients offer other protocols, too (h2c), and are content without.
  const shouldUpgradeCallback = ({ headers }: IncomingMessage): boolean =>
    upgrade !== undefined && headers.upgrade?.toLowerCase() === 'websocket';
  const server = createServer({ ...limits, shouldUpgradeCallback }, (request, response) => {
    const refusal = refusalOf(request);
    if (refusal === undefined) {
      answer(request, response);
    } else {
      const headers = { 'content-type': 'application/json', connection: 'close' };
      response.writeHead(refusal.status, headers).end(`${JSON.stringify({ message: refusal.message })}\n`);
    }
  });
  const taken = new Set<Duplex>();
  if (upgrade !== undefined) {
    server.on('upgrade', (request, connection, head) => {
      // Node looks after it no longer.
      taken.add(connection.on('error', () => {}).once('close', () => taken.delete(connection)));
      const refusal = refusalOf(request);
      if (refusal === undefined) {
        upgrade(request, connection, head);
      } else {
        const text = `${JSON.stringify({ message: refusal.message })}\n`;
        const headers = `connection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}`;
        // Its client's side may never end.
        connection.end(`HTTP/1.1 ${refusal.status} Refused\r\n${headers}\r\n\r\n${text}`, () => connection.destroy());
      }
    });
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        isErrno(error, 'EADDRINUSE') ? new HyprError('NET_PORT_IN_USE', `port ${port} of ${ADDRESS} is taken`, { cause: error }) : error,
      );
    });
    server.listen(port, ADDRESS, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      for (const connection of taken) {
        connection.destroy();
      }
      await closed;
    },
  };
};
