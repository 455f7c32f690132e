import http, { type IncomingMessage } from 'node:http';
import http2, { type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import tls, { type TLSSocket } from 'node:tls';
import { logger } from '../../base/log.ts';
import type { Certificates } from './certificates.ts';
import { http1Exchange, http2Exchange } from './http/exchange.ts';
import { FIRST_BYTE_MS, HANDSHAKE_MS, HEAD_MS, KEEP_ALIVE_MS, MAX_HEADERS, MAX_STREAMS } from './http/limits.ts';
import type { Exchange } from './http/types.ts';

const log = logger('edge');

export interface ConnectionHandlers {
  exchange(exchange: Exchange): void;
  upgrade(request: IncomingMessage, client: Duplex, head: Buffer, secure: boolean): void;
  connect(request: IncomingMessage, client: Duplex, head: Buffer): void;
}

/**
 * Speaks to clients: TLS, HTTP/2 and HTTP/1.1 on every port, told apart by a connection's first bytes. `accept` takes a new connection,
 * `acceptTunnel` one that came through a proxy's CONNECT.
 */
export class Connections {
  readonly #firstByteMs: number;
  readonly #headMs: number;
  readonly #idleMs: number;
  readonly #http1: http.Server;
  readonly #http2: http2.Http2Server;
  readonly #tls: tls.Server | undefined;
  readonly #open = new Set<Duplex>();
  readonly #secure = new WeakSet<Duplex>();
  /** Ends of connections that are tunnels. */
  readonly #tunnels = new Set<string>();

  constructor(
    handlers: ConnectionHandlers,
    certificates: Certificates | undefined,
    times: { readonly headMs?: number; readonly idleMs?: number } = {},
  ) {
    this.#firstByteMs = times.headMs ?? FIRST_BYTE_MS;
    this.#headMs = times.headMs ?? HEAD_MS;
    this.#idleMs = times.idleMs ?? 2 * KEEP_ALIVE_MS;
    this.#http1 = this.#serveHttp1(handlers);
    this.#http2 = this.#serveHttp2(handlers);
    this.#tls = certificates === undefined ? undefined : this.#serveTls(certificates);
  }

  /** How many connections are open. */
  get count(): number {
    return this.#open.size;
  }

  /** Whether a connection, or the TLS round it, came through a proxy's CONNECT: by its two ends, which all layers of it share. */
  isTunnel(socket: Duplex): boolean {
    const ends = endsOf(socket as Socket);
    // TLS inside TLS does not know its ends, and there is none but in a tunnel.
    return ends === undefined || this.#tunnels.has(ends);
  }

  /** Takes what comes through a connection whose client asked for a tunnel. */
  acceptTunnel(socket: Socket, head: Buffer): void {
    const ends = endsOf(socket);
    if (ends !== undefined) {
      this.#tunnels.add(ends);
      socket.once('close', () => this.#tunnels.delete(ends));
    }
    this.accept(socket, head);
  }

  accept(socket: Socket, head?: Buffer): void {
    this.#open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#open.delete(socket));
    socket.setNoDelay?.(true);
    if (head !== undefined && head.length > 0) {
      socket.unshift(head);
    }
    this.#sniff(socket);
  }

  close(): void {
    this.#http1.close();
    this.#http1.closeAllConnections();
    for (const socket of this.#open) {
      socket.destroy();
    }
  }

  #sniff(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#firstByteMs);
    socket.once('close', () => clearTimeout(timer));
    let seen: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const protocol = protocolOf(seen);
      if (protocol === undefined) {
        return;
      }
      clearTimeout(timer);
      socket.off('data', onData);
      socket.pause();
      socket.unshift(seen);
      this.#hand(socket, protocol);
    };
    socket.on('data', onData);
  }

  #hand(socket: Socket, protocol: 'tls' | 'h1' | 'h2'): void {
    if (protocol === 'tls') {
      this.#tls === undefined ? socket.destroy() : this.#tls.emit('connection', socket);
    } else if (protocol === 'h2') {
      // A session reads what is buffered by itself; resuming would lose it.
      this.#http2.emit('connection', socket);
    } else {
      this.#http1.emit('connection', socket);
      socket.resume();
    }
  }

  #serveHttp1(handlers: ConnectionHandlers): http.Server {
    const onRequest = (request: IncomingMessage, response: http.ServerResponse): void => {
      const exchange = http1Exchange(request, response, this.#secure.has(request.socket));
      if (exchange === undefined) {
        request.resume();
        response.writeHead(400, { connection: 'close' }).end();
        return;
      }
      handlers.exchange(exchange);
    };
    const options = {
      headersTimeout: this.#headMs,
      // An upload may take as long as it takes.
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADERS,
      connectionsCheckingInterval: Math.min(1_000, this.#headMs),
      // Clients that ask for HTTP/2 by an upgrade (curl --http2) are answered in HTTP/1.1, as RFC 9110, section 7.8, allows.
      shouldUpgradeCallback: (request: IncomingMessage) => !/\bh2c\b/i.test(request.headers.upgrade ?? ''),
    };
    const server = http.createServer(options, onRequest);
    server.on('checkContinue', onRequest);
    server.on('checkExpectation', (_request, response) => response.writeHead(417, { connection: 'close' }).end());
    server.on('upgrade', (request, client, head) => handlers.upgrade(request, client, head, this.#secure.has(client)));
    server.on('connect', (request, client, head) => handlers.connect(request, client, head));
    // It listens nowhere itself, but its check for slow heads begins with this event.
    server.emit('listening');
    return server;
  }

  #serveHttp2(handlers: ConnectionHandlers): http2.Http2Server {
    const server = http2.createServer({
      maxSessionMemory: 32,
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADERS, initialWindowSize: 1024 * 1024 },
    });
    server.on('session', (session: ServerHttp2Session) => {
      session.setLocalWindowSize(8 * 1024 * 1024);
      // Nothing was asked for so long; open streams count as something.
      session.setTimeout(this.#idleMs);
      session.on('timeout', () => (streams.get(session) ?? 0) === 0 && session.close());
      countStreams(session);
      session.on('error', () => session.destroy());
    });
    server.on('sessionError', () => {});
    server.on('stream', (stream: ServerHttp2Stream, _headers, _flags, raw: string[]) => {
      stream.on('error', () => {});
      const exchange = http2Exchange(stream, raw, stream.session?.encrypted === true);
      if (exchange === undefined) {
        stream.respond({ ':status': 400 }, { endStream: true });
        return;
      }
      handlers.exchange(exchange);
    });
    return server;
  }

  #serveTls(certificates: Certificates): tls.Server {
    const server = tls.createServer({
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: HANDSHAKE_MS,
      minVersion: 'TLSv1.2',
      SNICallback: (name, callback) => {
        certificates.contextFor(name).then(
          (context) => callback(null, context),
          (error: unknown) => callback(error as Error),
        );
      },
    });
    server.on('tlsClientError', (error, socket) => {
      log.debug('a TLS handshake failed', { error: error.message });
      socket.destroy();
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#secure.add(socket);
      this.#open.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => this.#open.delete(socket));
      socket.alpnProtocol === 'h2' ? this.#http2.emit('connection', socket) : this.#http1.emit('connection', socket);
    });
    return server;
  }
}

const endsOf = ({ remoteAddress, remotePort, localPort }: Socket): string | undefined =>
  remotePort === undefined ? undefined : `${remoteAddress} ${remotePort} ${localPort}`;

const streams = new WeakMap<ServerHttp2Session, number>();

const countStreams = (session: ServerHttp2Session): void => {
  session.on('stream', (stream) => {
    streams.set(session, (streams.get(session) ?? 0) + 1);
    stream.once('close', () => streams.set(session, (streams.get(session) ?? 1) - 1));
  });
};

/** By the first bytes: a TLS record (RFC 8446, section 5.1), the preface of HTTP/2 (RFC 9113, section 3.4), else HTTP/1.1. Undefined: more are needed. */
const protocolOf = (seen: Buffer): 'tls' | 'h1' | 'h2' | undefined => {
  if (seen[0] === TLS_HANDSHAKE) {
    return 'tls';
  }
  if (!PREFACE.subarray(0, seen.length).equals(seen.subarray(0, PREFACE.length))) {
    return 'h1';
  }
  return seen.length >= PREFACE.length ? 'h2' : undefined;
};

const TLS_HANDSHAKE = 0x16;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
