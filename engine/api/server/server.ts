import http, { type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import type { ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { messageOf } from '../../../base/errors.ts';

/** The first bytes of every HTTP/2 connection (RFC 9113, section 3.4). */
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0');

/** What is at a path for a GET, beside the API. */
export type Pages = Readonly<Record<string, { readonly type: string; readonly text: () => Promise<string> }>>;

export interface ApiServer {
  /** Connections that are open now; an idle supervisor waits for them. */
  readonly connections: number;
  close(): Promise<void>;
}

/**
 * Serves the API on a unix socket, HTTP/1.1 and HTTP/2 on the same path: gRPC needs the one, curl
 * our own commands (client.ts) speak the other, so the first bytes of a connection decide which server gets it.
 */
export const serveApi = async (
  socket: string,
  routes: (router: ConnectRouter) => void,
  onConnections: () => void,
  pages: Pages = {},
): Promise<ApiServer> => {
  const handler = connectNodeAdapter({ routes, fallback: (request, response) => void servePage(pages, request, response) });
  // A command's connection may be silent for hours: between two calls, and in a call that waits for what is typed.
  const h1 = http.createServer({ keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0 }, (request, response) => {
    // Connect refuses calls that stream both ways over HTTP/1.1, because proxies hold back what comes before the end. None is here.
    // (connect-node 2.3 would read such a call to its end before it answers: 2.2 is the last that can serve one.)
    request.httpVersion = '2.0';
    handler(request, response);
  });
  const h2 = http2.createServer(handler);
  const open = new Set<net.Socket>();
  const server = net.createServer((connection) => {
    open.add(connection);
    connection.on('error', () => {});
    connection.once('close', () => {
      open.delete(connection);
      onConnections();
    });
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const isHttp2 = HTTP2_PREFACE.subarray(0, head.length).equals(head.subarray(0, HTTP2_PREFACE.length));
      if (isHttp2 && head.length < HTTP2_PREFACE.length) {
        // Only a beginning: a POST begins as it does, too.
        return;
      }
      connection.off('data', onData);
      connection.pause();
      connection.unshift(head);
      if (isHttp2) {
        // An HTTP/2 session reads what is buffered by itself; resuming would lose it.
        h2.emit('connection', connection);
      } else {
        h1.emit('connection', connection);
        connection.resume();
      }
    };
    connection.on('data', onData);
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

type Fallback = NonNullable<Parameters<typeof connectNodeAdapter>[0]['fallback']>;

const servePage = async (pages: Pages, request: Parameters<Fallback>[0], response: Parameters<Fallback>[1]): Promise<void> => {
  const path = (request.url ?? '').split('?')[0] ?? '';
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  // Who looks now and then must not keep an idle supervisor from ending.
  const headers = request.httpVersionMajor >= 2 ? {} : { connection: 'close' };
  const answer = (status: number, type: string, text: string): void => {
    // The two kinds of response have the same two methods, with types that have nothing in common.
    (response as ServerResponse).writeHead(status, { ...headers, 'content-type': type });
    (response as ServerResponse).end(text);
  };
  if (page === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) {
    answer(404, 'text/plain', `there is nothing at ${path}\n`);
    return;
  }
  try {
    answer(200, page.type, await page.text());
  } catch (error) {
    answer(500, 'text/plain', `${messageOf(error)}\n`);
  }
};
