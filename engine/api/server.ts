import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import type { ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';

/** The first bytes of every HTTP/2 connection (RFC 9113, section 3.4). */
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0');

export interface ApiServer {
  /** Connections that are open now; an idle supervisor waits for them. */
  readonly connections: number;
  close(): Promise<void>;
}

/**
 * Serves the API on a unix socket, HTTP/1.1 and HTTP/2 on the same path: gRPC needs the one, curl
 * speaks the other, so the first bytes of a connection decide which server gets it.
 */
export const serveApi = async (socket: string, routes: (router: ConnectRouter) => void, onConnections: () => void): Promise<ApiServer> => {
  const handler = connectNodeAdapter({ routes });
  const h1 = http.createServer(handler);
  const h2 = http2.createServer(handler);
  const open = new Set<net.Socket>();
  const server = net.createServer((connection) => {
    open.add(connection);
    connection.on('error', () => {});
    connection.once('close', () => {
      open.delete(connection);
      onConnections();
    });
    connection.once('data', (first: Buffer) => {
      connection.pause();
      connection.unshift(first);
      if (HTTP2_PREFACE.subarray(0, first.length).equals(first.subarray(0, HTTP2_PREFACE.length))) {
        // An HTTP/2 session reads what is buffered by itself; resuming would lose it.
        h2.emit('connection', connection);
      } else {
        h1.emit('connection', connection);
        connection.resume();
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  return {
    get connections() {
      return open.size;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const connection of open) {
          connection.destroy();
        }
      }),
  };
};
