import { randomInt } from 'node:crypto';
import { onAbort } from '../../base/abort.ts';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { encodeFrame, type Fields, type Frame } from '../protocol/protocol.ts';
import { refused } from '../protocol/refusal.ts';
import { FLAG_MORE, FRAME, MAX_REQUEST, MAX_TO_GUEST } from '../protocol/tags.ts';
import type { Connection } from './connection.ts';
import { Channel } from './process-channel.ts';

/** Generous, because an emulated machine may be slow. */
const REQUEST_MS = 30_000;
const TRANSFER_MS = 3_600_000;

export interface Request {
  readonly opcode: number;
  readonly body?: Buffer;
  /** A noun phrase for the error message when no answer arrives. */
  readonly what: string;
  readonly ms?: number;
  /** The guest may send output on the request's channel. */
  readonly output?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Requests to one guest, each on its own channel until it is answered (docs/guest-protocol.md). */
export class Requests {
  readonly #connection: Connection;
  readonly #channels = new Map<number, Channel>();
  // A random start value keeps late answers of an earlier connection apart from ours.
  #nextId = randomInt(1, 0x7fff_ffff);
  #sending: Promise<unknown> = Promise.resolve();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Opens a channel for one request; forget or drop it when its answer is no longer needed. */
  open(): Channel {
    const id = this.#nextId;
    const channel = new Channel(id, this.#connection, () => this.#channels.delete(id));
    this.#nextId = this.#nextId >= 0xffff_fff0 ? 1 : this.#nextId + 1;
    this.#channels.set(channel.id, channel);
    return channel;
  }

  forget(channel: Channel): void {
    this.#channels.delete(channel.id);
  }

  /** Tells the guest that nobody listens to a channel any more. */
  drop(channel: Channel): void {
    this.forget(channel);
    channel.fail(new HyprError('HYPR_CANCELLED', 'the transfer was cancelled'));
    void this.#connection.send(encodeFrame({ type: FRAME.drop, channel: channel.id })).catch(() => {});
  }

  /** Sends a short request and returns the guest's answer. Throws GUEST_REFUSED, HYPR_TIMEOUT. */
  async ask(request: Request): Promise<Fields> {
    const channel = this.open();
    try {
      return await this.finish(channel, request);
    } finally {
      this.forget(channel);
    }
  }

  /** Sends a request on the caller's channel and waits for its answer; the channel stays open. */
  finish(channel: Channel, request: Request): Promise<Fields> {
    return withDeadline({ ms: request.ms ?? REQUEST_MS, what: request.what, signal: request.signal }, async () => {
      await this.#sendRequest(channel.id, request);
      if (request.output) {
        channel.openOutput();
      }
      return channel.answer.promise;
    });
  }

  /** The parts of a long request must not be interleaved with another's. */
  #sendRequest(channel: number, request: Request): Promise<void> {
    const head = Buffer.alloc(2);
    head.writeUInt16LE(request.opcode);
    const bytes = Buffer.concat([head, request.body ?? new Uint8Array(0)]);
    if (bytes.length > MAX_REQUEST) {
      const text = `${request.what}: ${bytes.length} bytes are more than a guest takes at once (${MAX_REQUEST})`;
      return Promise.reject(refused('malformed', text));
    }
    const sending = this.#sending.then(async () => {
      for (let at = 0; at < bytes.length; at += MAX_TO_GUEST) {
        const more = at + MAX_TO_GUEST < bytes.length;
        const payload = bytes.subarray(at, at + MAX_TO_GUEST);
        await this.#connection.send(encodeFrame({ type: FRAME.request, channel, flags: more ? FLAG_MORE : 0, payload }));
      }
    });
    this.#sending = sending.catch(() => {});
    return sending;
  }

  /** A request that uploads data to the guest. */
  async upload(request: Request, data: AsyncIterable<Uint8Array>): Promise<void> {
    const channel = this.open();
    const answer = this.finish(channel, { ...request, ms: TRANSFER_MS });
    try {
      // The guest passes over data of a request that it has not got. It may refuse at any point; the rest of the data is then not sent.
      await Promise.race([answer, this.#sending.then(() => sendAll(channel, data))]);
      await answer;
    } catch (error) {
      // A failed write is only a consequence of the refusal: wait for the refusal's reason.
      const unread = error instanceof HyprError && error.code === 'GUEST_EXEC';
      const refusal = answer.then(
        () => error,
        (reason: unknown) => reason,
      );
      const reason = unread ? await Promise.race([refusal, soon(error)]) : error;
      this.drop(channel);
      throw reason;
    } finally {
      this.forget(channel);
    }
  }

  /** A request whose answer is data. Leaving the loop ends it in the guest. */
  async *download(request: Request): AsyncGenerator<Uint8Array> {
    request.signal?.throwIfAborted();
    const channel = this.open();
    const leave = onAbort(request.signal, () => this.drop(channel));
    try {
      const answer = this.finish(channel, { ...request, output: true, ms: TRANSFER_MS });
      answer.catch(() => {});
      for await (const chunk of channel.output('answer')) {
        yield chunk.data;
      }
      await answer;
    } finally {
      leave();
      this.drop(channel);
    }
  }

  /** Handles a frame on a channel, which may have been dropped already. */
  accept(frame: Frame): void {
    this.#channels.get(frame.channel)?.accept(frame);
  }

  /** Fails all pending requests. */
  fail(error: Error): void {
    for (const channel of this.#channels.values()) {
      channel.fail(error);
    }
    this.#channels.clear();
  }
}

const sendAll = async (channel: Channel, data: AsyncIterable<Uint8Array>): Promise<void> => {
  for await (const chunk of data) {
    await channel.write(chunk);
  }
  await channel.endInput();
};

const REFUSAL_WAIT_MS = 1000;
const soon = <T>(value: T): Promise<T> => new Promise((resolve) => setTimeout(() => resolve(value), REFUSAL_WAIT_MS).unref());
