import { Duplex } from 'node:stream';
import { orAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import type { Fields } from '../protocol/protocol.ts';
import { refused } from '../protocol/refusal.ts';
import type { Channel } from './process-channel.ts';

/** Records of guest/agent/handlers/relay.c: u32 connection, u32 length, bytes; both little-endian. */
const HEAD = 8;
const CHUNK = 16_384;
const WINDOW = 65_536;
const MAX_CONNECTIONS = 64;
/** A guest that sends faster than the data is read loses its connection; this process does not run out of memory. */
const MAX_UNREAD = 64 * 1024 * 1024;
const ACK = 0x8000_0000;

export interface RelayOptions {
  readonly channel: Channel;
  /** Rejects with the guest's reason when it cannot listen; resolves only when the listener has ended. */
  readonly answer: Promise<Fields>;
  readonly drop: () => void;
  readonly accept: (connection: Duplex) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The host's side of a listener in a guest. Throws GUEST_REFUSED when the guest cannot listen. */
export const openRelay = async ({ channel, answer, drop, accept, signal }: RelayOptions): Promise<{ close(): Promise<void> }> => {
  answer.catch(() => {});
  const relay = new Relay(channel, accept);
  const ended = relay.run();
  ended.catch(() => {});
  const close = async () => {
    drop();
    await ended.catch(() => {});
  };
  try {
    const failed = answer.then(() => Promise.reject(refused('machine', 'the guest does not listen')));
    await orAbort(Promise.race([relay.listening, failed, ended.then(() => failed)]), signal);
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
};

class Relay {
  readonly listening: Promise<void>;
  readonly #channel: Channel;
  readonly #accept: (connection: Duplex) => void;
  readonly #connections = new Map<number, Connection>();
  #onListening: () => void = () => {};
  #kept: Buffer = Buffer.alloc(0);
  #sending: Promise<void> = Promise.resolve();

  constructor(channel: Channel, accept: (connection: Duplex) => void) {
    this.#channel = channel;
    this.#accept = accept;
    this.listening = new Promise((resolve) => {
      this.#onListening = resolve;
    });
  }

  /** Runs until the channel ends, which ends every connection. */
  async run(): Promise<void> {
    try {
      for await (const { data } of this.#channel.output('answer')) {
        this.#feed(Buffer.from(data.buffer, data.byteOffset, data.length));
      }
    } finally {
      for (const connection of this.#connections.values()) {
        connection.destroy();
      }
    }
  }

  #feed(chunk: Buffer): void {
    let bytes = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    for (;;) {
      const length = bytes.length < HEAD ? 0 : bytes.readUInt32LE(4);
      if (length > CHUNK) {
        throw new HyprError('GUEST_PROTOCOL', 'a listener in the guest sent a record that is too long');
      }
      if (bytes.length < HEAD + length) {
        break;
      }
      this.#onRecord(bytes.readUInt32LE(0), bytes.subarray(HEAD, HEAD + length));
      bytes = bytes.subarray(HEAD + length);
    }
    this.#kept = Buffer.from(bytes);
  }

  #onRecord(number: number, data: Buffer): void {
    const connection = this.#connections.get((number & ~ACK) >>> 0);
    if (number === 0) {
      this.#onListening();
    } else if (number >= ACK) {
      connection?.taken(data.length === 4 ? data.readUInt32LE(0) : 0);
    } else if (connection === undefined) {
      this.#open(number);
    } else {
      connection.receive(data);
    }
  }

  #open(number: number): void {
    if (this.#connections.size >= MAX_CONNECTIONS) {
      throw new HyprError('GUEST_PROTOCOL', 'a listener in the guest has too many connections');
    }
    const connection = new Connection((data) => this.#send(number, data));
    this.#connections.set(number, connection);
    connection.on('error', () => {});
    connection.on('close', () => {
      this.#connections.delete(number);
      if (!connection.sentEnd) {
        void this.#send(number, Buffer.alloc(0)).catch(() => {});
      }
    });
    this.#accept(connection);
  }

  /** Records are sent one after the other, never interleaved. */
  #send(number: number, data: Uint8Array): Promise<void> {
    const head = Buffer.alloc(HEAD);
    head.writeUInt32LE(number, 0);
    head.writeUInt32LE(data.length, 4);
    const sending = this.#sending.then(() => this.#channel.write(Buffer.concat([head, data])));
    this.#sending = sending.catch(() => {});
    return sending;
  }
}

/** One connection of a program in the guest. Bytes the guest has not passed on yet count against its window. */
class Connection extends Duplex {
  sentEnd = false;
  readonly #send: (data: Uint8Array) => Promise<void>;
  #room = WINDOW;
  #wake: () => void = () => {};

  constructor(send: (data: Uint8Array) => Promise<void>) {
    super({ allowHalfOpen: true });
    this.#send = send;
  }

  receive(data: Buffer): void {
    if (this.readableLength > MAX_UNREAD) {
      this.destroy();
    } else {
      this.push(data.length === 0 ? null : Buffer.from(data));
    }
  }

  taken(bytes: number): void {
    this.#room = Math.min(WINDOW, this.#room + bytes);
    this.#wake();
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#writeAll(chunk).then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.sentEnd = true;
    this.#send(Buffer.alloc(0)).then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#wake();
    done(error);
  }

  async #writeAll(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length && !this.destroyed; ) {
      if (this.#room === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const part = chunk.subarray(at, at + Math.min(this.#room, CHUNK));
      this.#room -= part.length;
      at += part.length;
      await this.#send(part);
    }
  }
}
