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
const MAX_CONNECTIONS = 256;
/** What a guest may send of a connection before the reader has taken it; one that sends more loses the connection. */
const SEND_WINDOW = 262_144;
/** The guest is told what was taken when it is this much. */
const ACK_EVERY = 65_536;
const ACK = 0x8000_0000;
/** Records that wait for the guest to take them: 256 connections have a few each; a guest that takes none and causes ever more is ended. */
const MAX_PENDING = 4096;
const NOTHING = Buffer.alloc(0);

interface CarryOptions {
  readonly channel: Channel;
  /** Rejects with the guest's reason when it cannot begin; resolves only when it has ended. */
  readonly answer: Promise<Fields>;
  readonly drop: () => void;
  readonly signal?: AbortSignal | undefined;
}

/** The host's side of a listener in a guest. Throws GUEST_REFUSED when the guest cannot listen. */
export const openRelay = async (
  options: CarryOptions & { readonly accept: (connection: Duplex) => void },
): Promise<{ close(): Promise<void> }> => {
  const relay = new Relay(options.channel, options.accept);
  return { close: await begin(relay, options) };
};

/** Connects to ports of a guest's loopback. */
export interface Dialer {
  /** A connection; that nobody listens shows in its end. Throws GUEST_REFUSED when there are too many. */
  connect(port: number): Duplex;
  /** Resolves (never rejects) when it has ended, with all its connections. */
  readonly ended: Promise<void>;
}

/** Throws GUEST_REFUSED when the guest cannot begin. */
export const openDialer = async (options: CarryOptions): Promise<Dialer> => {
  const relay = new Relay(options.channel, undefined);
  await begin(relay, options);
  return { connect: (port) => relay.connect(port), ended: relay.ended };
};

/** Waits until connections can be made; gives what ends them all. */
const begin = async (relay: Relay, { answer, drop, signal }: CarryOptions): Promise<() => Promise<void>> => {
  answer.catch(() => {});
  relay.run(drop);
  const close = async () => {
    drop();
    await relay.ended;
  };
  try {
    const failed = answer.then(() => Promise.reject(refused('machine', 'the guest carries no connections')));
    await orAbort(Promise.race([relay.ready, failed, relay.ended.then(() => failed)]), signal);
    return close;
  } catch (error) {
    await close();
    throw error;
  }
};

class Relay {
  readonly ready: Promise<void>;
  /** Resolves when the channel has ended, and with it every connection. */
  ended: Promise<void> = Promise.resolve();
  readonly #channel: Channel;
  readonly #accept: ((connection: Duplex) => void) | undefined;
  readonly #connections = new Map<number, Connection>();
  #onReady: () => void = () => {};
  #kept: Buffer = NOTHING;
  #lastNumber = 0;
  #sending: Promise<void> = Promise.resolve();
  #pending = 0;

  /** Without `accept` only the host begins connections. */
  constructor(channel: Channel, accept: ((connection: Duplex) => void) | undefined) {
    this.#channel = channel;
    this.#accept = accept;
    this.ready = new Promise((resolve) => {
      this.#onReady = resolve;
    });
  }

  /** `drop` gives the channel up when the guest does not keep to the protocol. */
  run(drop: () => void): void {
    this.ended = this.#run().catch(drop);
  }

  connect(port: number): Duplex {
    if (this.#connections.size >= MAX_CONNECTIONS) {
      throw refused('resources', `${MAX_CONNECTIONS} connections into the guest are open`);
    }
    const number = this.#lastNumber + 1;
    const connection = this.#open(number);
    const place = Buffer.alloc(2);
    place.writeUInt16LE(port, 0);
    void this.#send(number, place).catch(() => connection.destroy());
    return connection;
  }

  async #run(): Promise<void> {
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
        throw new HyprError('GUEST_PROTOCOL', 'the guest sent a record of a connection that is too long');
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
    if (this.#pending > MAX_PENDING) {
      throw new HyprError('GUEST_PROTOCOL', 'the guest takes none of what is sent on connections');
    }
    const connection = this.#connections.get((number & ~ACK) >>> 0);
    if (number === 0) {
      this.#onReady();
    } else if (number >= ACK) {
      data.length === 4 ? connection?.taken(data.readUInt32LE(0)) : connection?.gone();
    } else if (connection !== undefined) {
      connection.receive(data);
    } else if (number > this.#lastNumber && data.length === 0) {
      // What comes late for a connection that is over opens no other.
      if (this.#accept === undefined || this.#connections.size >= MAX_CONNECTIONS) {
        throw new HyprError('GUEST_PROTOCOL', 'the guest began a connection that it may not have');
      }
      this.#accept(this.#open(number));
    }
  }

  #open(number: number): Connection {
    this.#lastNumber = number;
    const connection = new Connection({
      send: (data) => this.#send(number, data),
      took: (bytes) => {
        const count = Buffer.alloc(4);
        count.writeUInt32LE(bytes, 0);
        void this.#send((number | ACK) >>> 0, count).catch(() => {});
      },
    });
    this.#connections.set(number, connection);
    connection.on('error', () => {});
    connection.on('close', () => {
      this.#connections.delete(number);
      void this.#send((number | ACK) >>> 0, NOTHING).catch(() => {});
    });
    return connection;
  }

  /** Records are sent one after the other, never interleaved. */
  #send(number: number, data: Uint8Array): Promise<void> {
    const head = Buffer.alloc(HEAD);
    head.writeUInt32LE(number, 0);
    head.writeUInt32LE(data.length, 4);
    this.#pending += 1;
    const sending = this.#sending.then(() => this.#channel.write(Buffer.concat([head, data])));
    this.#sending = sending
      .catch(() => {})
      .finally(() => {
        this.#pending -= 1;
      });
    return sending;
  }
}

interface Line {
  send(data: Uint8Array): Promise<void>;
  /** So many bytes more have been read. */
  took(bytes: number): void;
}

/** One connection of a program in the guest. Bytes that the other side has not passed on yet count against a window. */
class Connection extends Duplex {
  readonly #line: Line;
  #room = WINDOW;
  /** Bytes that came, and those of them that the guest knows to be taken. */
  #received = 0;
  #told = 0;
  #isGone = false;
  /** What came and was not asked for yet, in one piece: many small ones would take far more memory than their bytes. */
  #kept = NOTHING;
  #keptLength = 0;
  #isAsked = false;
  #isOver = false;
  #wake: () => void = () => {};

  constructor(line: Line) {
    // It asks for more only when all has been read; what comes meanwhile is kept here.
    super({ allowHalfOpen: true, readableHighWaterMark: 1 });
    this.#line = line;
  }

  receive(data: Buffer): void {
    this.#received += data.length;
    if (this.#received - this.#told > SEND_WINDOW + CHUNK) {
      this.destroy();
    } else if (data.length === 0) {
      this.#endReading();
    } else {
      this.#keep(data);
      this.#give();
      this.#tell();
    }
  }

  #keep(data: Buffer): void {
    const length = this.#keptLength + data.length;
    if (length > this.#kept.length) {
      const more = Buffer.allocUnsafe(Math.min(Math.max(2 * this.#kept.length, length, 512), SEND_WINDOW + CHUNK));
      this.#kept.copy(more, 0, 0, this.#keptLength);
      this.#kept = more;
    }
    data.copy(this.#kept, this.#keptLength);
    this.#keptLength = length;
  }

  #give(): void {
    if (this.#isAsked && this.#keptLength > 0) {
      const data = this.#kept.subarray(0, this.#keptLength);
      this.#kept = NOTHING;
      this.#keptLength = 0;
      this.#isAsked = false;
      this.push(data);
    }
    if (this.#isOver && this.#keptLength === 0 && !this.readableEnded) {
      this.#isOver = false;
      this.push(null);
    }
  }

  #endReading(): void {
    this.#isOver = true;
    this.#give();
  }

  taken(bytes: number): void {
    this.#room = Math.min(WINDOW, this.#room + bytes);
    this.#wake();
  }

  /** The program's end is gone: what it sent can still be read, what is written goes nowhere. */
  gone(): void {
    this.#isGone = true;
    this.#wake();
    this.once('end', () => this.destroy());
    this.#endReading();
    if (this.readableLength === 0 && this.#keptLength === 0) {
      this.read(0);
    }
  }

  override read(size?: number): unknown {
    const data: unknown = super.read(size);
    this.#tell();
    return data;
  }

  override _read(): void {
    this.#isAsked = true;
    this.#give();
  }

  /** Tells the guest how much has been read. */
  #tell(): void {
    const taken = this.#received - this.readableLength - this.#keptLength - this.#told;
    if (taken >= ACK_EVERY) {
      this.#told += taken;
      this.#line.took(taken);
    }
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#writeAll(chunk).then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#line.send(NOTHING).then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#wake();
    done(error);
  }

  async #writeAll(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length && !this.destroyed && !this.#isGone; ) {
      if (this.#room === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const part = chunk.subarray(at, at + Math.min(this.#room, CHUNK));
      this.#room -= part.length;
      at += part.length;
      await this.#line.send(part);
    }
  }
}
