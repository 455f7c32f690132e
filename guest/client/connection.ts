import { randomBytes } from 'node:crypto';
import { createConnection, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { orAbort } from '../../base/abort.ts';
import { sleep, withDeadline } from '../../base/deadline.ts';
import { HyprError, isErrno } from '../../base/errors.ts';
import { encodeHello, type Fields, type Frame, FrameDecoder, MAGIC, readFields } from '../protocol/protocol.ts';
import { FRAME, NONCE_SIZE, PROTOCOL_VERSION } from '../protocol/tags.ts';

/** How long to wait before sending HELLO again: a guest under software emulation may need seconds, but one HELLO is normally enough. */
const HELLO_AGAIN_MS = 5000;
const RETRY_MS = 50;

/** The byte stream to one agent, after the handshake. */
export interface Connection {
  /** What the agent said about itself in its WELCOME. */
  readonly welcome: Fields;
  /** Resolves (never rejects) when the stream has ended, with the reason unless `close` ended it. */
  readonly closed: Promise<Error | undefined>;
  /** Called for each frame after that; an error it throws ends the connection. */
  onFrame(handler: (frame: Frame) => void): void;
  /** Queues a frame; resolves when the socket accepts more. Rejects when the stream has ended. */
  send(frame: Buffer): Promise<void>;
  close(): void;
}

/**
 * Connects to an agent's unix socket and performs the handshake. Waits for a socket that does not exist yet and for a
 * guest that is still booting. Throws HYPR_TIMEOUT, or GUEST_PROTOCOL for an agent of another version.
 */
export const openConnection = (path: string, options: { signal?: AbortSignal | undefined; timeout: number }): Promise<Connection> =>
  withDeadline({ ms: options.timeout, what: 'the answer of the guest agent', signal: options.signal }, async (signal) => {
    return begin(await connectSocket(path, signal), signal);
  });

/** The same over a stream that is open already, which it takes over in every outcome. */
export const openConnectionOver = (stream: Duplex, options: { signal?: AbortSignal | undefined; timeout: number }): Promise<Connection> =>
  withDeadline({ ms: options.timeout, what: 'the answer of the guest agent', signal: options.signal }, (signal) => {
    // It may be one that can be half open, and an agent that says no more has ended.
    stream.once('end', () => stream.destroy());
    return begin(stream, signal);
  });

const begin = async (stream: Duplex, signal: AbortSignal): Promise<Connection> => {
  try {
    return await handshake(stream, signal);
  } catch (error) {
    stream.destroy();
    throw error;
  }
};

const connectSocket = async (path: string, signal: AbortSignal): Promise<Socket> => {
  for (;;) {
    const socket = createConnection({ path });
    try {
      await orAbort(
        new Promise<void>((resolve, reject) => {
          socket.once('connect', resolve);
          socket.once('error', reject);
        }),
        signal,
      );
      return socket;
    } catch (error) {
      socket.destroy();
      // EAGAIN: the queue of a process that is held is full of those who have given up.
      if (!isErrno(error, 'ENOENT', 'ECONNREFUSED', 'EAGAIN')) {
        throw error;
      }
    }
    await sleep(RETRY_MS, signal);
  }
};

const handshake = async (socket: Duplex, signal: AbortSignal): Promise<Connection> => {
  const nonce = randomBytes(NONCE_SIZE);
  const hello = encodeHello(nonce);
  const stream = new FrameStream(socket, nonce);
  const again = setInterval(() => socket.write(hello), HELLO_AGAIN_MS);
  socket.write(hello);
  try {
    const first = await orAbort(Promise.race([stream.first, stream.failed]), signal);
    stream.welcome = readWelcome(first);
    return stream;
  } finally {
    clearInterval(again);
  }
};

const readWelcome = (frame: Frame): Fields => {
  const head = MAGIC.length + NONCE_SIZE;
  const version = frame.payload.length < head + 2 ? 0 : frame.payload.readUInt16LE(head);
  if (version !== PROTOCOL_VERSION) {
    throw new HyprError('GUEST_PROTOCOL', `the guest agent speaks protocol ${version}, this hypr speaks ${PROTOCOL_VERSION}`, {
      hint: 'the machine was started by another version of hypr: restart the service',
    });
  }
  return readFields(frame.payload.subarray(head + 2));
};

class FrameStream implements Connection {
  readonly closed: Promise<Error | undefined>;
  readonly first: Promise<Frame>;
  /** Rejects when the stream ends. */
  readonly failed: Promise<never>;
  welcome: Fields = readFields(Buffer.alloc(0));
  readonly #socket: Duplex;
  #handler: ((frame: Frame) => void) | undefined;
  readonly #early: Frame[] = [];
  #blocked: Array<() => void> = [];
  #reason: Error | undefined;

  constructor(socket: Duplex, nonce: Uint8Array) {
    this.#socket = socket;
    const decoder = new FrameDecoder(nonce);
    let onFirst: ((frame: Frame) => void) | undefined;
    this.first = new Promise((resolve) => {
      onFirst = resolve;
    });
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of decoder.feed(chunk)) {
          if (onFirst !== undefined) {
            onFirst(frame);
            onFirst = undefined;
          } else if (frame.type !== FRAME.welcome) {
            this.#deliver(frame);
          }
        }
      } catch (error) {
        this.#reason ??= error instanceof Error ? error : new Error(String(error));
        socket.destroy();
      }
    });
    socket.on('error', (error) => {
      this.#reason ??= new HyprError('GUEST_LOST', `the channel to the guest broke: ${error.message}`, { cause: error });
    });
    const unblock = () => {
      for (const wake of this.#blocked.splice(0)) {
        wake();
      }
    };
    socket.on('drain', unblock);
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        resolve(this.#reason);
        unblock();
      });
    });
    this.failed = this.closed.then((reason) => {
      throw reason ?? lostError();
    });
    this.failed.catch(() => {});
  }

  onFrame(handler: (frame: Frame) => void): void {
    this.#handler = handler;
    for (const frame of this.#early.splice(0)) {
      handler(frame);
    }
  }

  #deliver(frame: Frame): void {
    if (this.#handler === undefined) {
      this.#early.push(frame);
    } else {
      this.#handler(frame);
    }
  }

  async send(frame: Buffer): Promise<void> {
    if (this.#socket.destroyed) {
      throw this.#reason ?? lostError();
    }
    if (!this.#socket.write(frame)) {
      await new Promise<void>((resolve) => this.#blocked.push(resolve));
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

export const lostError = (): HyprError => new HyprError('GUEST_LOST', 'the channel to the guest is gone');
