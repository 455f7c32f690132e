import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { refuse } from './guard.ts';

/** Only programs of this host. */
const ADDRESS = '127.0.0.1';

/** How long a request may take to be here, its body included. */
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
}

/** Answers requests at 127.0.0.1 that are not refused (see guard.ts). `port` 0: one that is free. Throws NET_PORT_IN_USE. */
export const listenOnLoopback = async (
  { port, token, open }: Listening,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<LoopbackServer> => {
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const refusal = refuse(request, token, open.includes(path));
    if (refusal === undefined) {
      answer(request, response);
    } else {
      const headers = { 'content-type': 'application/json', connection: 'close' };
      response.writeHead(refusal.status, headers).end(`${JSON.stringify({ message: refusal.message })}\n`);
    }
  });
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
      await closed;
    },
  };
};
