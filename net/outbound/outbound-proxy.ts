import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pLimit from 'p-limit';
import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { endToEndFields } from '../http/end-to-end.ts';
import { responseTo } from '../http/response-to.ts';
import type { NetworkPolicy } from '../types.ts';
import { type Admission, openDestination, type Refused, type Resolve } from './open-destination.ts';
import { RateLimit } from './rate.ts';

const log = logger('outbound');

/** A machine's connections to the proxy at a time, and as many from the proxy to other hosts; its requests to those in a second. */
const MOST_CONNECTIONS = 256;
/** Questions to the system's resolver, which has few threads for them. */
const MOST_LOOKUPS = 4;
const RATE = { perSecond: 50, burst: 200 };
/** A connection that asks for nothing is closed. */
const IDLE_MS = 60_000;

export interface OutboundProxyOptions {
  readonly policy: NetworkPolicy;
  readonly onRefused: (refused: Refused) => void;
  /** For tests. */
  readonly resolve?: Resolve;
  readonly rate?: { readonly perSecond: number; readonly burst: number };
}

export interface OutboundProxy {
  /** Serves one connection of a program in the machine. */
  accept(connection: Duplex): void;
  close(): void;
}

/**
 * The way out of a machine without a NIC: an HTTP proxy (RFC 9110) that opens tunnels by CONNECT and forwards plain requests, to what
 * the policy allows. It listens nowhere: connections are passed to it.
 */
export const openOutboundProxy = (options: OutboundProxyOptions): OutboundProxy => {
  const rate = new RateLimit(options.rate ?? RATE);
  const admission: Admission = {
    ...{ policy: options.policy, onRefused: options.onRefused, resolve: options.resolve },
    begin: countedUpTo(MOST_CONNECTIONS, () => rate.take()),
    lookups: pLimit(MOST_LOOKUPS),
  };
  const connections = new Map<Duplex, NodeJS.Timeout>();
  const server = createServer((request, response) => {
    hold(request.socket);
    response.once('close', () => connections.has(request.socket) && idle(request.socket));
    void forward({ request, response, admission }).catch((error: unknown) => answer(response, 502, messageOf(error)));
  });
  const hold = (connection: Duplex) => clearTimeout(connections.get(connection));
  const idle = (connection: Duplex) => connections.set(connection, setTimeout(() => connection.destroy(), IDLE_MS).unref());
  server.on('connect', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    hold(socket);
    void tunnel({ request, socket, head, admission }).catch((error: unknown) => refuse(socket, 502, messageOf(error)));
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  return {
    accept: (connection) => {
      if (connections.size >= MOST_CONNECTIONS) {
        connection.destroy();
        return;
      }
      connection.on('error', () => {});
      idle(connection);
      connection.once('close', () => {
        hold(connection);
        connections.delete(connection);
      });
      server.emit('connection', connection);
    },
    close: () => {
      for (const connection of connections.keys()) {
        connection.destroy();
      }
    },
  };
};

/** Gives a place to at most `most` at a time, and only when `may`; whoever has one leaves it once. */
const countedUpTo = (most: number, may: () => boolean): (() => (() => void) | undefined) => {
  const taken = new Set<() => void>();
  return () => {
    if (taken.size >= most || !may()) {
      return undefined;
    }
    const leave = (): void => void taken.delete(leave);
    taken.add(leave);
    return leave;
  };
};

const goneSignals = new WeakMap<Duplex, AbortSignal>();

/**
 * Aborts when the connection ends, on which somebody waits for what they asked for. One for each connection: however many requests
 * are sent at once over it, it is watched once.
 */
const goneSignal = (connection: Duplex): AbortSignal => {
  const known = goneSignals.get(connection);
  if (known !== undefined) {
    return known;
  }
  const gone = new AbortController();
  const abort = (): void => gone.abort(new HyprError('HYPR_CANCELLED', 'whoever asked is gone'));
  connection.destroyed ? abort() : connection.once('close', abort);
  goneSignals.set(connection, gone.signal);
  return gone.signal;
};

const STATUS: Readonly<Record<number, string>> = { 400: 'Bad Request', 403: 'Forbidden', 429: 'Too Many Requests', 502: 'Bad Gateway' };

const answer = (response: ServerResponse, status: number, text: string): void => {
  if (response.headersSent) {
    response.destroy();
  } else {
    response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' }).end(`hypr: ${text}\n`);
  }
};

const refuse = (socket: Duplex, status: number, text: string): void => {
  const head = `HTTP/1.1 ${status} ${STATUS[status]}\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n`;
  socket.end(`${head}hypr: ${text}\n`, () => socket.destroy());
};

const tunnel = async (input: { request: IncomingMessage; socket: Duplex; head: Buffer; admission: Admission }): Promise<void> => {
  const { request, socket, head, admission } = input;
  const [, host = '', port = ''] = /^\[?([^\]]*?)\]?:(\d{1,5})$/.exec(request.url ?? '') ?? [];
  const opened = await openDestination({ host, port: Number(port) }, admission, goneSignal(socket));
  if ('status' in opened) {
    refuse(socket, opened.status, opened.text);
    return;
  }
  const { socket: upstream } = opened;
  if (socket.destroyed) {
    upstream.destroy();
    return;
  }
  socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
  upstream.write(head);
  // Each direction ends on its own; an error of one ends both.
  const results = await Promise.allSettled([pipeline(socket, upstream), pipeline(upstream, socket)]);
  log.debug('a tunnel ended', { host, failed: results.some(({ status }) => status === 'rejected') });
};

const forward = async (input: { request: IncomingMessage; response: ServerResponse; admission: Admission }): Promise<void> => {
  const { request, response, admission } = input;
  const url = URL.canParse(request.url ?? '') ? new URL(request.url ?? '') : undefined;
  if (url?.protocol !== 'http:') {
    answer(response, 400, 'this is a proxy: it takes http:// addresses and CONNECT');
    return;
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const opened = await openDestination({ host, port: Number(url.port || 80) }, admission, goneSignal(request.socket));
  if ('status' in opened) {
    answer(response, opened.status, opened.text);
    return;
  }
  response.destroyed ? opened.socket.destroy() : response.once('close', () => opened.socket.destroy());
  const upstream = ask(url, request, opened.socket);
  const answered = responseTo(upstream);
  upstream.on('error', () => {});
  // An answer may come before the request has been read to its end: the rest is read and dropped then.
  request.on('error', () => {});
  upstream.once('close', () => request.unpipe(upstream).resume());
  request.pipe(upstream);
  const reply = await answered;
  response.writeHead(reply.statusCode ?? 502, endToEndFields(reply.headers));
  await pipeline(reply, response);
};

const ask = (url: URL, request: IncomingMessage, socket: Socket) =>
  httpRequest(url, {
    method: request.method ?? 'GET',
    headers: { ...endToEndFields(request.headers), host: url.host },
    createConnection: () => socket,
  });
