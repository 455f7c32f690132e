import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError } from './errors.ts';
import { type Hijacked, type Sink, sinkOf } from './sink.ts';
import { acceptWebSocket, type WebSocketPeer } from './web-socket.ts';

/** How a request is answered; one of these is called, once. */
export interface Reply {
  json(value: unknown, status?: number): void;
  empty(status: number, headers?: Readonly<Record<string, string>>): void;
  /** Sends the head at once. */
  stream(type: string, headers?: Readonly<Record<string, string>>): Sink;
  /** Takes the connection over (101 when the client asked for it), or streams where it did not. */
  hijack(type: string): Hijacked;
  /** Takes the connection over as a WebSocket. Throws 400 when the client did not ask for one. */
  webSocket(): Promise<WebSocketPeer>;
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
  webSocket: noWebSocket,
});

const noWebSocket = (): Promise<never> =>
  Promise.reject(new ApiError(400, 'this is a WebSocket: the request has to say Upgrade: websocket'));

/** An answer to a request that asked to take its connection over; it is written by hand, because HTTP ends here. */
export const replyUpgrade = (request: IncomingMessage, socket: Duplex, common: Readonly<Record<string, string>>): Reply => {
  const protocol = request.headers.upgrade ?? 'tcp';
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
    webSocket: () => {
      if (protocol.toLowerCase() !== 'websocket') {
        return noWebSocket();
      }
      hasStarted = true;
      return acceptWebSocket(request, socket);
    },
  };
};
