import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Bytes on their way to a client, at its pace. */
export interface Sink {
  /** Resolves when there is room for more, or the client has gone. */
  write(data: Uint8Array | string): Promise<void>;
  end(): void;
}

/** A connection that belongs to the program at its other end from now on. */
export interface Hijacked extends Sink {
  /** What the client sends; ends when it closes its side. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Itself, where the client asked for another protocol on it. */
  readonly connection?: Duplex;
}

/** How a request is answered; one of these is called, once. */
export interface Reply {
  json(value: unknown, status?: number): void;
  empty(status: number, headers?: Readonly<Record<string, string>>): void;
  /** Sends the head at once. */
  stream(type: string, headers?: Readonly<Record<string, string>>): Sink;
  /** Takes the connection over (101 when the client asked for it), or streams where it did not. */
  hijack(type: string): Hijacked;
  /** Whether the head has been sent. */
  readonly hasStarted: boolean;
}

/** An answer over HTTP. */
export const replyOver = (response: ServerResponse, input: AsyncIterable<Uint8Array>): Reply => ({
  get hasStarted() {
    return response.headersSent;
  },
  json: (value, status = 200) => {
    const text = `${JSON.stringify(value)}\n`;
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(text);
  },
  empty: (status, headers = {}) => {
    response.writeHead(status, status === 204 || status === 304 ? headers : { ...headers, 'content-length': 0 });
    response.end();
  },
  stream: (type, headers = {}) => {
    response.writeHead(200, { 'content-type': type, ...headers });
    response.flushHeaders();
    return sinkOf(response);
  },
  hijack: (type) => {
    response.writeHead(200, { 'content-type': type });
    response.flushHeaders();
    return { ...sinkOf(response), input };
  },
});

/** An answer to a request that asked to take its connection over; it is written by hand, because HTTP ends here. */
export const replyUpgrade = (socket: Duplex, protocol: string, common: Readonly<Record<string, string>>): Reply => {
  let hasStarted = false;
  const head = (status: string, headers: Readonly<Record<string, string | number>>): void => {
    hasStarted = true;
    const lines = Object.entries({ ...common, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 ${status}\r\n${lines.join('')}\r\n`);
  };
  const plain = (status: number, type: string, text: string): void => {
    head(`${status} ${status < 400 ? 'OK' : 'Error'}`, {
      connection: 'close',
      'content-type': type,
      'content-length': Buffer.byteLength(text),
    });
    socket.end(text);
  };
  return {
    get hasStarted() {
      return hasStarted;
    },
    json: (value, status = 200) => plain(status, 'application/json', `${JSON.stringify(value)}\n`),
    empty: (status) => plain(status, 'text/plain', ''),
    stream: (type) => {
      head('200 OK', { connection: 'close', 'content-type': type });
      return sinkOf(socket);
    },
    hijack: (type) => {
      head('101 UPGRADED', { connection: 'Upgrade', upgrade: protocol, 'content-type': type });
      return { ...sinkOf(socket), input: socket, connection: socket };
    },
  };
};

/** Bytes that are kept for a client that does not read, of answers that wait for nobody: events, progress. */
const MOST_KEPT = 16 << 20;

const sinkOf = (stream: ServerResponse | Duplex): Sink => {
  // One for all that wait: what waits for nobody writes on while the client does not read.
  let room: Promise<void> | undefined;
  const awaitRoom = (): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        stream.removeListener('drain', done).removeListener('close', done);
        room = undefined;
        resolve();
      };
      stream.on('drain', done).on('close', done);
    });
  return {
    write: (data) => {
      if (stream.writableLength > MOST_KEPT) {
        stream.destroy();
      }
      if (stream.destroyed || stream.write(data)) {
        return Promise.resolve();
      }
      room ??= awaitRoom();
      return room;
    },
    end: () => stream.end(),
  };
};
