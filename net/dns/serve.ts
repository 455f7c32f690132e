import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { onAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { type NameDirectory, nameDomain } from '../names/directory.ts';
import { bindUdpSocket, listenTcp } from '../ports/check-ports.ts';
import { answerQuery, MAX_QUERY } from './answer.ts';

const log = logger('dns');

/** The port of the seeds; HYPR_DNS_PORT is another, 0 none. */
export const DEFAULT_DNS_PORT = 41_003;

/** Port of the DNS server for this user, or undefined where it is switched off. */
export const dnsPort = (env: NodeJS.ProcessEnv = process.env): number | undefined => {
  const text = env.HYPR_DNS_PORT;
  const port = text === undefined || text === '' ? DEFAULT_DNS_PORT : Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new HyprError('HYPR_USAGE', `HYPR_DNS_PORT is ${JSON.stringify(text)}: it must be a port, or 0 for no DNS server`);
  }
  return port === 0 ? undefined : port;
};

const HOST = '127.0.0.1';
const MOST_CONNECTIONS = 64;
/** RFC 7766, section 6.2.3: a few seconds. */
const IDLE_MS = 10_000;
/** A client that sends questions and reads no answers is not read any further. */
const MOST_UNREAD = 64 * 1024;

export interface DnsServer {
  readonly port: number;
  /** Questions since the start. */
  readonly queries: number;
  close(): Promise<void>;
}

export interface DnsOptions {
  /** 0: the kernel chooses, for tests. */
  readonly port: number;
  readonly signal?: AbortSignal;
  readonly domain?: string;
}

/**
 * Answers DNS for the names of a directory on 127.0.0.1, UDP and TCP on the same port, until `close` or the signal. Throws
 * NET_PORT_IN_USE naming the holder, NET_PORT_DENIED.
 */
export const serveDns = async (directory: NameDirectory, options: DnsOptions): Promise<DnsServer> => {
  options.signal?.throwIfAborted();
  const domain = options.domain ?? nameDomain();
  let queries = 0;
  const answer = (query: Uint8Array): Uint8Array | undefined => {
    queries += 1;
    return answerQuery(query, directory, domain);
  };
  const connections = new Set<Socket>();
  const { tcp, udp, port } = await bindBoth(options.port);
  serveTcp(tcp, connections, answer);
  serveUdp(udp, answer);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= closeBoth(tcp, udp, connections);
    return closing;
  };
  onAbort(options.signal, () => void close());
  return {
    port,
    get queries() {
      return queries;
    },
    close,
  };
};

/** A free TCP port need not be free for UDP: when the kernel chooses, it may choose again. */
const bindBoth = async (wanted: number): Promise<{ tcp: Server; udp: UdpSocket; port: number }> => {
  for (let tries = wanted === 0 ? 8 : 1; ; tries -= 1) {
    // Half-open, because a client may end its questions and wait for the answers.
    const tcp = createServer({ allowHalfOpen: true });
    const port = await listenTcp(tcp, { protocol: 'tcp', hostAddress: HOST, hostPort: wanted });
    const udp = createSocket('udp4');
    try {
      await bindUdpSocket(udp, { protocol: 'udp', hostAddress: HOST, hostPort: port });
      return { tcp, udp, port };
    } catch (error) {
      await new Promise<void>((resolve) => tcp.close(() => resolve()));
      if (tries <= 1) {
        throw error;
      }
    }
  }
};

const closeBoth = async (tcp: Server, udp: UdpSocket, connections: ReadonlySet<Socket>): Promise<void> => {
  const closed = [new Promise<void>((resolve) => tcp.close(() => resolve())), new Promise<void>((resolve) => udp.close(() => resolve()))];
  for (const connection of connections) {
    connection.destroy();
  }
  await Promise.all(closed);
};

type AnswerQuery = (query: Uint8Array) => Uint8Array | undefined;

const serveUdp = (udp: UdpSocket, answer: AnswerQuery): void => {
  udp.on('error', (error) => log.warn('DNS over UDP', { error: error.message }));
  udp.on('message', (query, from) => {
    const reply = answer(query);
    if (reply !== undefined) {
      // A client that is gone is not an error.
      udp.send(reply, from.port, from.address, () => {});
    }
  });
};

/** Each message follows its length, and a client may send several without waiting (RFC 7766). */
const serveTcp = (tcp: Server, connections: Set<Socket>, answer: AnswerQuery): void => {
  tcp.on('error', (error) => log.warn('DNS over TCP', { error: error.message }));
  tcp.maxConnections = MOST_CONNECTIONS;
  tcp.on('connection', (connection: Socket) => {
    connections.add(connection);
    connection.on('error', () => connection.destroy());
    connection.once('close', () => connections.delete(connection));
    connection.setTimeout(IDLE_MS, () => connection.destroy());
    connection.setNoDelay(true);
    const messages = new Messages();
    connection.on('data', (chunk: Buffer) => {
      for (const query of messages.take(chunk)) {
        const reply = query.length > MAX_QUERY ? undefined : answer(query);
        if (reply === undefined) {
          connection.destroy();
          return;
        }
        connection.write(framed(reply));
      }
      if (connection.writableLength > MOST_UNREAD) {
        connection.pause();
      }
    });
    connection.on('drain', () => connection.resume());
    connection.on('end', () => connection.end());
  });
};

const framed = (message: Uint8Array): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
};

/** Messages out of a stream. */
class Messages {
  #rest: Buffer = Buffer.alloc(0);

  *take(chunk: Buffer): Generator<Buffer> {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 2) {
      const end = 2 + this.#rest.readUInt16BE(0);
      if (this.#rest.length < end) {
        // A length beyond the limit is passed on as it is, so that the connection ends at once.
        if (end > MAX_QUERY + 2) {
          yield this.#rest.subarray(0, 0);
        }
        return;
      }
      yield this.#rest.subarray(2, end);
      this.#rest = this.#rest.subarray(end);
    }
  }
}
