import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Hijacked, sinkOf } from './sink.ts';

/** The largest message that is taken. */
const MOST_BYTES = 4 << 20;

/** Of RFC 6455: codes of an end, and the most that its reason takes. */
const NORMAL = 1000;
export const FAILED = 1011;
const MOST_REASON = 123;

/** A WebSocket: what a program writes are its binary messages, what its client sends is what the program reads. */
export interface WebSocketPeer extends Hijacked {
  /** Says goodbye, with a reason that is cut to what fits, and waits until the client has. Never rejects. */
  close(reason?: string, code?: number): Promise<void>;
}

/** Answers the handshake (RFC 6455). Rejects when it is none: its client has been told then. */
export const acceptWebSocket = async (request: IncomingMessage, connection: Duplex): Promise<WebSocketPeer> => {
  const { createWebSocketStream, WebSocketServer } = await import('ws');
  const server = new WebSocketServer({ noServer: true, maxPayload: MOST_BYTES, perMessageDeflate: false, clientTracking: false });
  return new Promise((resolve, reject) => {
    server.once('wsClientError', reject);
    server.handleUpgrade(request, connection, Buffer.alloc(0), (socket) => {
      const stream = createWebSocketStream(socket);
      // What breaks is no more than a client that has gone.
      stream.on('error', () => {});
      const closed = new Promise<void>((done) => socket.once('close', () => done()));
      resolve({
        ...sinkOf(stream),
        input: stream,
        close: (reason = '', code = NORMAL) => {
          socket.close(
            code,
            Buffer.from(reason)
              .subarray(0, MOST_REASON)
              .toString()
              .replace(/\ufffd$/, ''),
          );
          return closed;
        },
      });
    });
  });
};
