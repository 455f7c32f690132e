import http, { type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { messageOf } from '../../../base/errors.ts';
import { isTracing, tracedRequest } from '../../../base/trace/trace.ts';
import { Supervisor } from '../gen/hypr_pb.ts';
import { type ApiMethods, serveBytes } from './byte-streams.ts';

/** The first bytes of every HTTP/2 connection (RFC 9113, section 3.4). */
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0');

/**
 * Whoever holds the directory of names listens to all stacks, and none of them goes on for that; nor for whoever only looks on. `Events?passive`
 * is what commands before the home's record of events ask for (engine/logs/record); those of today do not.
 */
const PASSIVE: readonly string[] = ['Names', 'Events?passive'].map((call) => `/${Supervisor.typeName}/${call}`);

/** Pages served for GET requests besides the API, by path. */
export type Pages = Readonly<Record<string, { readonly type: string; readonly text: () => Promise<string> }>>;

export interface ApiServer {
  /** Open connections, without those that only listen to names; a supervisor with any does not exit when idle. */
  readonly connections: number;
  close(): Promise<void>;
}

/** A listener to names or events may be there before the command that started the supervisor, which is waited for all the same. */
export type Leaving = 'client' | 'listener';

/**
 * Serves the API on a unix socket, with HTTP/1.1 and HTTP/2 on the same path. gRPC needs HTTP/2; curl and our own
 * commands speak HTTP/1.1. The first bytes of a connection decide which server gets it. Requests in the codec of
 * byte-codec.ts bypass Connect's library. `onLeave` is told of each connection that is over, and of each that turns out to listen only.
 */
export const serveApi = async (
  socket: string,
  methods: ApiMethods,
  onLeave: (who: Leaving) => void,
  pages: Pages = {},
): Promise<ApiServer> => {
  const handler = connectNodeAdapter({
    routes: (router) => void router.service(Supervisor, methods),
    fallback: (request, response) => void servePage(pages, request, response),
  });
  // A command's connection may be silent for hours, between two calls or while a call waits for input.
  const h1 = http.createServer({ keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0 }, (request, response) => {
    if (PASSIVE.includes(request.url ?? '')) {
      counted.delete(request.socket);
      request.url = request.url?.replace(/\?.*/, '');
      onLeave('listener');
    }
    traceCall(request, response, () => {
      if (!serveBytes(methods, request, response)) {
        // Connect refuses bidirectional calls over HTTP/1.1, because proxies may buffer them; there is no proxy here.
        // (connect-node 2.3 would read such a call to its end before answering: 2.2 is the last version that can serve one.)
        request.httpVersion = '2.0';
        handler(request, response);
      }
    });
  });
  const h2 = http2.createServer(handler);
  const open = new Set<net.Socket>();
  /** Connections for which a supervisor stays. */
  const counted = new Set<net.Socket>();
  const server = net.createServer((connection) => {
    open.add(connection);
    counted.add(connection);
    connection.on('error', () => {});
    connection.once('close', () => {
      open.delete(connection);
      onLeave(counted.delete(connection) ? 'client' : 'listener');
    });
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const isHttp2 = HTTP2_PREFACE.subarray(0, head.length).equals(head.subarray(0, HTTP2_PREFACE.length));
      if (isHttp2 && head.length < HTTP2_PREFACE.length) {
        // Only part of the preface so far: a POST begins with the same letter.
        return;
      }
      connection.off('data', onData);
      connection.pause();
      connection.unshift(head);
      if (isHttp2) {
        // An HTTP/2 session reads buffered data itself; resuming would lose it.
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
      return counted.size;
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

/** Of one call, a span, from its head until its answer is sent. */
const traceCall = (request: http.IncomingMessage, response: http.ServerResponse, answer: () => void): void => {
  if (!isTracing) {
    answer();
    return;
  }
  const method = request.url?.replace(/^\/|\?.*/g, '') ?? '';
  void tracedRequest(method, request.headers.traceparent?.toString(), () => {
    const ended = new Promise<void>((resolve) => response.once('close', resolve));
    answer();
    return ended;
  });
};

type Fallback = NonNullable<Parameters<typeof connectNodeAdapter>[0]['fallback']>;

const servePage = async (pages: Pages, request: Parameters<Fallback>[0], response: Parameters<Fallback>[1]): Promise<void> => {
  const path = (request.url ?? '').split('?')[0] ?? '';
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  // Clients that only poll pages must not keep an idle supervisor alive.
  const headers = request.httpVersionMajor >= 2 ? {} : { connection: 'close' };
  const answer = (status: number, type: string, text: string): void => {
    // The two response types have the same two methods, but no common type.
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
