import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { type Duplex, finished, Readable } from 'node:stream';
import { logger } from '../../../base/log.ts';
import { tracedRequest } from '../../../base/trace/trace.ts';
import { DOCKER_API_VERSION, DOCKER_VERSION } from '../../model/version.ts';
import { bodyBeforeUpgrade, bodyOf, hasNoBody } from './body.ts';
import { describeError } from './errors.ts';
import { Query } from './query.ts';
import { type Reply, replyOver, replyUpgrade } from './reply.ts';
import type { Call, Match } from './router.ts';

const log = logger('docker');

/** What a client that is not trusted may take. */
export interface ClientLimits {
  /** Milliseconds for a whole request, its body included; 0: no limit. */
  readonly requestMs: number;
}

export interface ConnectionServer {
  readonly server: http.Server;
  /** Ends all connections; those that come later are refused. */
  close(): Promise<void>;
}

/** How long a client may keep its side open after the end of the other. */
const LINGER_MS = 10_000;

/** The headers of every answer. */
const COMMON: Readonly<Record<string, string>> = {
  'Api-Version': DOCKER_API_VERSION,
  'Docker-Experimental': 'false',
  Ostype: 'linux',
  Server: `Docker/${DOCKER_VERSION} (linux)`,
};

/**
 * Answers requests by the routes, on connections that the server accepts or that are handed to it (`server.emit('connection', …)`).
 * `onConnections` gets the number of open ones after each change.
 */
export const serveConnections = (
  find: Find,
  onConnections: (count: number) => void,
  { requestMs }: ClientLimits = { requestMs: 0 },
): ConnectionServer => {
  const open = new Set<Duplex>();
  const isInTurn = requestMs > 0 ? refusePipelines() : () => true;
  const server = http.createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
    if (isInTurn(request.socket, response)) {
      void answer(find, request, response);
    }
  });
  if (requestMs > 0) {
    boundRequests(server, requestMs);
  }
  server.on('upgrade', (request, connection, head) => {
    if (isInTurn(connection)) {
      void answerUpgrade(find, request, { connection, head });
    }
  });
  server.on('connection', (connection) => {
    open.add(connection);
    onConnections(open.size);
    connection
      .on('error', () => {})
      .once('close', () => {
        open.delete(connection);
        onConnections(open.size);
      });
  });
  return {
    server,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const connection of open) {
        connection.destroy();
      }
      await closed;
    },
  };
};

/**
 * No client of docker's sends a request before it has the answer to the last one; who does could have thousands of them worked on by one
 * connection. It is closed, and the request is not to be answered.
 */
const refusePipelines = (): ((connection: Duplex, response?: ServerResponse) => boolean) => {
  const unsent = new WeakMap<Duplex, Set<ServerResponse>>();
  return (connection, response) => {
    const before = unsent.get(connection) ?? new Set();
    unsent.set(connection, before);
    // The last piece of one answer may be read before it is known here that it was.
    if (connection.destroyed || before.size > 1 || [...before].some((each) => !each.writableEnded)) {
      connection.destroy();
      return false;
    }
    if (response !== undefined) {
      before.add(response);
      response.once('finish', () => before.delete(response));
    }
    return true;
  };
};

/** Node's own time limits are those of servers that listen. */
const boundRequests = (server: http.Server, ms: number): void => {
  const timers = new WeakMap<Duplex, NodeJS.Timeout>();
  const stop = (connection: Duplex): void => clearTimeout(timers.get(connection));
  const begin = (connection: Duplex): void => {
    stop(connection);
    timers.set(
      connection,
      setTimeout(() => connection.destroy(), ms),
    );
  };
  server.on('connection', (connection) => {
    begin(connection);
    connection.once('close', () => stop(connection));
  });
  server.on('request', (request, response) => {
    const { socket } = request;
    response.once('finish', () => !socket.destroyed && begin(socket));
    if (hasNoBody(request)) {
      stop(socket);
    } else {
      request.once('end', () => stop(socket));
    }
  });
};

/** Never rejects. */
const answer = async (find: Find, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  for (const [name, value] of Object.entries(COMMON)) {
    response.setHeader(name, value);
  }
  const left = new AbortController();
  response.on('error', () => {}).once('close', () => left.abort());
  // Whoever expects a stream of input reads it; what is left of a body is read to its end, so that the connection can be used again.
  const reply = replyOver(response, request);
  const isBroken = await handle(find, { request, reply, signal: left.signal, bytes: request });
  request.resume();
  if (isBroken) {
    response.destroy();
  } else if (!response.writableEnded) {
    response.end();
  }
};

const answerUpgrade = async (
  find: Find,
  request: IncomingMessage,
  { connection, head }: { connection: Duplex; head: Buffer },
): Promise<void> => {
  const left = new AbortController();
  connection.once('close', () => left.abort());
  const reply = replyUpgrade(request, connection, COMMON);
  const body = await bodyBeforeUpgrade(request, connection, head).catch(() => undefined);
  if (body === undefined) {
    connection.destroy();
    return;
  }
  if (await handle(find, { request, reply, signal: left.signal, bytes: Readable.from([body]) })) {
    connection.destroy();
    return;
  }
  connection.end();
  // What its client still sends is of no use, and would keep the connection open if nobody read it. Closed at once, it would cost what the
  // client has not read yet.
  connection.resume();
  finished(connection, { readable: false }, () => {
    const timer = setTimeout(() => connection.destroy(), LINGER_MS).unref();
    connection.once('close', () => clearTimeout(timer));
  });
};

/** Of a method and path; see makeRouter. */
export type Find = (method: string, path: string) => Match;

interface Exchange {
  readonly request: IncomingMessage;
  readonly reply: Reply;
  readonly signal: AbortSignal;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Whether it failed after the head of its answer: what has been sent must not look complete. */
const handle = async (find: Find, { request, reply, signal, bytes }: Exchange): Promise<boolean> => {
  const { method = 'GET', url = '/' } = request;
  // All that is logged of an address: commands, their environment and keys may be in the rest.
  let asked = `${method} of no route`;
  try {
    const { pathname, searchParams } = new URL(url.replace(/^\/+/, '/'), 'http://hypr');
    const { route, handler, params, version } = find(method, pathname);
    asked = route;
    const call: Call = {
      params,
      version,
      query: new Query(searchParams),
      headers: request.headers,
      body: bodyOf(request, bytes),
      reply,
      signal,
    };
    await tracedRequest(route, request.headers.traceparent?.toString(), async () => handler(call));
    log.debug('answered', { route: asked });
    return false;
  } catch (error) {
    if (signal.aborted) {
      return false;
    }
    const { status, message } = describeError(error);
    log.debug('failed', { route: asked, status, message });
    if (reply.hasStarted) {
      return true;
    }
    reply.json({ message }, status);
    return false;
  }
};
