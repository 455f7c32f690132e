import type { Duplex } from 'node:stream';
import { orAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import type { Fields } from '../protocol/protocol.ts';
import { refused } from '../protocol/refusal.ts';
import type { Channel } from './process-channel.ts';
import { CHUNK, Connection, NOTHING } from './relay-connection.ts';

/** Records of guest/agent/handlers/relay.c: u32 connection, u32 length, bytes; both little-endian. */
const HEAD = 8;
const MAX_CONNECTIONS = 256;
const ACK = 0x8000_0000;
/** Records that wait for the guest to take them: 256 connections have a few each; a guest that takes none and causes ever more is ended. */
const MAX_PENDING = 4096;

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

/** Connects to ports of a guest's loopback, and to the agents of further services in the machine. */
export interface Dialer {
  /** A connection to a port, or to the agent of this name; that nobody listens shows in its end. Throws GUEST_REFUSED when there are too many. */
  connect(place: number | string): Duplex;
  /** Resolves (never rejects) when it has ended, with all its connections. */
  readonly ended: Promise<void>;
}

/** Throws GUEST_REFUSED when the guest cannot begin. */
export const openDialer = async (options: CarryOptions): Promise<Dialer> => {
  const relay = new Relay(options.channel, undefined);
  await begin(relay, options);
  return { connect: (place) => relay.connect(place), ended: relay.ended };
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

  connect(place: number | string): Duplex {
    if (this.#connections.size >= MAX_CONNECTIONS) {
      throw refused('resources', `${MAX_CONNECTIONS} connections into the guest are open`);
    }
    const number = this.#lastNumber + 1;
    const connection = this.#open(number);
    void this.#send(number, placeBytes(place)).catch(() => connection.destroy());
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

/** A port, or a name, which is longer (guest/agent/process/members.h). */
const placeBytes = (place: number | string): Buffer => {
  if (typeof place === 'string') {
    return Buffer.from(place);
  }
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(place, 0);
  return bytes;
};
