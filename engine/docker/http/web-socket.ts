import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { AsyncQueue } from '../../../base/queue.ts';
import { ApiError } from './errors.ts';
import type { Hijacked } from './sink.ts';

/** The largest message that is taken. */
const MOST_BYTES = 4 << 20;

/** What is kept of a client's input that the program has not read; with more than that, how long it may take to read any. */
const MOST_KEPT = 16 << 20;
const STUCK_MS = 60_000;

/** Of RFC 6455: codes of an end, and the most that its reason takes. */
const NORMAL = 1000;
const TOO_BIG = 1009;
export const FAILED = 1011;
const MOST_REASON = 123;

/** A WebSocket: what a program writes are its binary messages, what its client sends is what the program reads. */
export interface WebSocketPeer extends Hijacked {
  /** Says goodbye after all that was written, with a reason that is cut to what fits, and waits until the client has. Never rejects. */
  close(reason?: string, code?: number): Promise<void>;
}

/** Answers the handshake (RFC 6455). Rejects when it is none, and its client has been told then, or when its client has gone. */
export const acceptWebSocket = async (request: IncomingMessage, connection: Duplex): Promise<WebSocketPeer> => {
  const { WebSocketServer } = await import('ws');
  const server = new WebSocketServer({ noServer: true, maxPayload: MOST_BYTES, perMessageDeflate: false, clientTracking: false });
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new ApiError(400, 'this is no handshake of a WebSocket, or its client has gone'));
    connection.once('close', fail);
    if (connection.destroyed) {
      fail();
      return;
    }
    // Answers by itself what is no handshake, and closes the connection.
    server.handleUpgrade(request, connection, Buffer.alloc(0), (socket) => {
      connection.off('close', fail);
      resolve(peerOf(socket));
    });
  });
};

const peerOf = (socket: WebSocket): WebSocketPeer => {
  const closed = new Promise<void>((done) => socket.once('close', () => done()));
  const close = (reason = '', code = NORMAL): Promise<void> => {
    socket.close(code, cut(reason));
    return closed;
  };
  return {
    input: inputOf(socket),
    write: (data) => new Promise((done) => socket.send(data, { binary: true }, () => done())),
    end: () => void close(),
    close,
  };
};

/**
 * Read ahead of the program: who does not read does not notice that the client leaves. Ends the WebSocket when the program takes nothing for long
 * and much is kept for it.
 */
const inputOf = (socket: WebSocket): AsyncIterable<Uint8Array> => {
  const queue = new AsyncQueue<Buffer>({ limit: MOST_KEPT, weigh: (data) => data.length });
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  const take = (message: Buffer): void => {
    waiting++;
    socket.pause();
    timer ??= setTimeout(giveUp, STUCK_MS);
    void queue.push(message).then(() => {
      waiting--;
      if (waiting === 0) {
        clearTimeout(timer);
        timer = undefined;
        socket.resume();
      }
    });
  };
  const giveUp = (): void => {
    socket.off('message', take);
    socket.resume();
    socket.close(TOO_BIG, 'the program does not read its input');
  };
  socket.on('message', take);
  // What breaks is no more than a client that has gone.
  socket.on('error', () => {});
  socket.once('close', () => {
    clearTimeout(timer);
    queue.end();
  });
  return queue;
};

const cut = (reason: string): Buffer =>
  Buffer.from(
    Buffer.from(reason)
      .subarray(0, MOST_REASON)
      .toString()
      .replace(/\ufffd$/, ''),
  );
