import { randomInt } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { withDeadline } from '../base/deadline.ts';
import { HyprError } from '../base/errors.ts';
import { Channel, readExit } from './channel.ts';
import { type Connection, lostError, openConnection } from './connection.ts';
import { encodeFiles, encodeMachine, encodeNames, encodeProcess, encodeSimple } from './encode.ts';
import { EventQueue, readEvent } from './events.ts';
import { readInfo, readStats } from './info.ts';
import { encodeFrame, type Fields, FLAG_MORE, FRAME, type Frame, MAX_ORDER, MAX_TO_GUEST, OPCODE, readFields } from './protocol.ts';
import { openRelay } from './relay.ts';
import type {
  FileOrders,
  GuestClient,
  GuestEvent,
  GuestInfo,
  GuestProcess,
  GuestStats,
  MachineOrders,
  NameTable,
  OutputChunk,
  ProcessExit,
  ProcessSpec,
  RelayPlace,
} from './types.ts';

export { GuestExecError } from './channel.ts';

/** Deadlines in ms; generous, because an emulated machine may be slow. */
const DEADLINE = { order: 30_000, prepare: 180_000, transfer: 3_600_000, powerOff: 30_000, relay: 2 ** 31 - 1 };
const KILL = 9;

/**
 * Connects to the agent behind a unix socket, waiting up to `timeout` ms for a guest that still boots.
 * Throws HYPR_TIMEOUT, GUEST_PROTOCOL (another version, or not an agent) or the signal's reason.
 */
export const connectGuest = async (
  socketPath: string,
  options: { signal?: AbortSignal | undefined; timeout: number },
): Promise<GuestClient> => new Client(await openConnection(socketPath, options));

class Client implements GuestClient {
  readonly info: GuestInfo;
  readonly closed: Promise<void>;
  readonly #connection: Connection;
  readonly #channels = new Map<number, Channel>();
  readonly #listeners = new Set<EventQueue>();
  // A random beginning keeps late answers of an earlier connection apart from ours.
  #nextId = randomInt(1, 0x7fff_ffff);
  #orders: Promise<unknown> = Promise.resolve();

  constructor(connection: Connection) {
    this.#connection = connection;
    this.info = readInfo(connection.welcome);
    this.closed = connection.closed.then((reason) => this.#fail(reason ?? lostError()));
    connection.onFrame((frame) => this.#onFrame(frame));
  }

  async prepare(orders: MachineOrders, signal?: AbortSignal): Promise<void> {
    await this.#ask({ opcode: OPCODE.prepare, body: encodeMachine(orders), what: 'preparing the guest', ms: DEADLINE.prepare, signal });
  }

  startWorkload(spec: ProcessSpec, signal?: AbortSignal): Promise<GuestProcess> {
    return this.#run(OPCODE.start, encodeProcess(spec), signal);
  }

  spawn(spec: ProcessSpec, signal?: AbortSignal): Promise<GuestProcess> {
    return this.#run(OPCODE.spawn, encodeProcess(spec), signal);
  }

  async attachWorkload(signal?: AbortSignal): Promise<GuestProcess> {
    const channel = this.#openChannel();
    try {
      const answer = await this.#finish(channel, { opcode: OPCODE.attach, what: 'attaching to the workload', signal });
      channel.resumeInput(answer.int(15) ?? 0);
      channel.openOutput([answer.int(13) ?? 0, answer.int(14) ?? 0]);
      return new Process(this, channel, answer.int(2) ?? 0);
    } catch (error) {
      this.#forget(channel);
      throw error;
    }
  }

  async #run(opcode: number, body: Buffer, signal: AbortSignal | undefined): Promise<GuestProcess> {
    const channel = this.#openChannel();
    try {
      const answer = await this.#finish(channel, { opcode, body, what: 'the start of a program in the guest', output: true, signal });
      return new Process(this, channel, answer.int(2) ?? 0);
    } catch (error) {
      if (signal?.aborted) {
        // It may have started all the same.
        await this.signalProcess(channel.id, KILL).catch(() => {});
      }
      this.#drop(channel);
      throw error;
    }
  }

  async setNames(names: NameTable, signal?: AbortSignal): Promise<void> {
    await this.#ask({ opcode: OPCODE.names, body: encodeNames(names), what: 'the new name table', signal });
  }

  async setClock(now: number, signal?: AbortSignal): Promise<void> {
    await this.#ask({ opcode: OPCODE.clock, body: encodeSimple({ clock: now }), what: 'setting the clock', signal });
  }

  async writeFiles(files: readonly FileOrders[], signal?: AbortSignal): Promise<void> {
    await this.#ask({ opcode: OPCODE.files, body: encodeFiles(files), what: 'writing files into the guest', signal });
  }

  async signalProcess(channel: number, signal: number): Promise<void> {
    await this.#ask({ opcode: OPCODE.signal, body: encodeSimple({ channel, signal }), what: 'sending a signal' });
  }

  async resizeProcess(channel: number, size: { columns: number; rows: number }): Promise<void> {
    await this.#ask({ opcode: OPCODE.resize, body: encodeSimple({ channel, ...size }), what: 'resizing a terminal' });
  }

  async writeTar(target: string, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    await this.#upload(
      { opcode: OPCODE.writeTar, body: encodeSimple({ path: target }), what: `unpacking files in ${target}`, signal },
      tar,
    );
  }

  readTar(path: string, options: { followLinks?: boolean } = {}, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const body = encodeSimple({ path, flag: options.followLinks ?? false });
    return this.#download({ opcode: OPCODE.readTar, body, what: `reading ${path}`, signal });
  }

  readLayer(signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#download({ opcode: OPCODE.readLayer, what: 'reading the layer', signal });
  }

  async pushLayer(tar?: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    const order = { opcode: OPCODE.pushLayer, body: encodeSimple({ flag: tar !== undefined }), what: 'freezing the layer', signal };
    await this.#upload(order, tar ?? nothing());
  }

  async stageFolder(name: string, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    await this.#upload({ opcode: OPCODE.stage, body: encodeSimple({ path: name }), what: 'bringing in what a step mounts', signal }, tar);
  }

  async releaseStep(disks: readonly string[], signal?: AbortSignal): Promise<void> {
    const body = encodeSimple({ path: disks.join(' ') });
    await this.#ask({ opcode: OPCODE.release, body, what: 'taking away what a step had mounted', ms: DEADLINE.prepare, signal });
  }

  relay(place: RelayPlace, accept: (connection: Duplex) => void, signal?: AbortSignal): Promise<{ close(): Promise<void> }> {
    const channel = this.#openChannel();
    const body = encodeSimple('port' in place ? place : { path: place.socket, mode: place.mode, uid: place.uid, gid: place.gid });
    const answer = this.#finish(channel, { opcode: OPCODE.relay, body, what: 'a listener in the guest', output: true, ms: DEADLINE.relay });
    return openRelay({ channel, answer, drop: () => this.#drop(channel), accept, signal });
  }

  async stats(signal?: AbortSignal): Promise<GuestStats> {
    return readStats(await this.#ask({ opcode: OPCODE.stats, what: 'the usage of the guest', signal }));
  }

  async sync(signal?: AbortSignal): Promise<void> {
    await this.#ask({ opcode: OPCODE.sync, what: 'syncing the disks of the guest', ms: DEADLINE.prepare, signal });
  }

  async powerOff(options: { stopSignal: number; graceMs: number }, signal?: AbortSignal): Promise<ProcessExit | undefined> {
    const body = encodeSimple({ signal: options.stopSignal, grace: options.graceMs });
    const ms = options.graceMs + DEADLINE.powerOff;
    return readExit(await this.#ask({ opcode: OPCODE.powerOff, body, what: 'the end of the guest', ms, signal }));
  }

  async *events(): AsyncIterable<GuestEvent> {
    const queue = new EventQueue();
    this.#listeners.add(queue);
    void this.closed.then(() => queue.end());
    try {
      if (this.#listeners.size === 1) {
        await this.#ask({ opcode: OPCODE.watch, body: encodeSimple({ flag: true }), what: 'watching the guest' });
      }
      yield* queue.drain();
    } finally {
      this.#listeners.delete(queue);
      if (this.#listeners.size === 0) {
        void this.#ask({ opcode: OPCODE.watch, body: encodeSimple({ flag: false }), what: 'watching the guest' }).catch(() => {});
      }
    }
  }

  async close(): Promise<void> {
    this.#connection.close();
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- orders and their channels ----

  #openChannel(): Channel {
    const channel = new Channel(this.#nextId, this.#connection);
    this.#nextId = this.#nextId >= 0xffff_fff0 ? 1 : this.#nextId + 1;
    this.#channels.set(channel.id, channel);
    return channel;
  }

  #forget(channel: Channel): void {
    this.#channels.delete(channel.id);
  }

  /** Tells the guest that nobody listens to a channel any more. */
  #drop(channel: Channel): void {
    this.#forget(channel);
    channel.fail(new HyprError('HYPR_CANCELLED', 'the transfer was cancelled'));
    void this.#connection.send(encodeFrame({ type: FRAME.drop, channel: channel.id })).catch(() => {});
  }

  async #ask(order: Order): Promise<Fields> {
    const channel = this.#openChannel();
    try {
      return await this.#finish(channel, order);
    } finally {
      this.#forget(channel);
    }
  }

  /** Sends an order and waits for its answer. */
  #finish(channel: Channel, order: Order): Promise<Fields> {
    return withDeadline({ ms: order.ms ?? DEADLINE.order, what: order.what, signal: order.signal }, async () => {
      await this.#sendOrder(channel.id, order);
      if (order.output) {
        channel.openOutput();
      }
      return channel.answer.promise;
    });
  }

  /** The parts of a long order must not be mixed with those of another. */
  #sendOrder(channel: number, order: Order): Promise<void> {
    const head = Buffer.alloc(2);
    head.writeUInt16LE(order.opcode);
    const bytes = Buffer.concat([head, order.body ?? new Uint8Array(0)]);
    if (bytes.length > MAX_ORDER) {
      const text = `${order.what}: ${bytes.length} bytes are more than a guest takes at once (${MAX_ORDER})`;
      return Promise.reject(new HyprError('GUEST_REFUSED', text));
    }
    const sending = this.#orders.then(async () => {
      for (let at = 0; at < bytes.length; at += MAX_TO_GUEST) {
        const more = at + MAX_TO_GUEST < bytes.length;
        const payload = bytes.subarray(at, at + MAX_TO_GUEST);
        await this.#connection.send(encodeFrame({ type: FRAME.order, channel, flags: more ? FLAG_MORE : 0, payload }));
      }
    });
    this.#orders = sending.catch(() => {});
    return sending;
  }

  async #upload(order: Order, data: AsyncIterable<Uint8Array>): Promise<void> {
    const channel = this.#openChannel();
    const answer = this.#finish(channel, { ...order, ms: DEADLINE.transfer });
    try {
      // The guest may refuse at any point: then what is left of the data goes nowhere.
      await Promise.race([answer, sendAll(channel, data)]);
      await answer;
    } catch (error) {
      // A write that nobody reads is only the consequence of a refusal: wait for the reason.
      const unread = error instanceof HyprError && error.code === 'GUEST_EXEC';
      const refusal = answer.then(
        () => error,
        (reason: unknown) => reason,
      );
      const reason = unread ? await Promise.race([refusal, soon(error)]) : error;
      this.#drop(channel);
      throw reason;
    } finally {
      this.#forget(channel);
    }
  }

  async *#download(order: Order): AsyncGenerator<Uint8Array> {
    const channel = this.#openChannel();
    const onAbort = () => this.#drop(channel);
    try {
      order.signal?.throwIfAborted();
      order.signal?.addEventListener('abort', onAbort, { once: true });
      const answer = this.#finish(channel, { ...order, output: true, ms: DEADLINE.transfer });
      answer.catch(() => {});
      for await (const chunk of channel.output('answer')) {
        yield chunk.data;
      }
      await answer;
    } finally {
      order.signal?.removeEventListener('abort', onAbort);
      this.#drop(channel);
    }
  }

  // ---- what comes from the guest ----

  #onFrame(frame: Frame): void {
    if (frame.type === FRAME.event) {
      const event = readEvent(readFields(frame.payload));
      for (const listener of event === undefined ? [] : this.#listeners) {
        listener.push(event as GuestEvent);
      }
    } else if (frame.type === FRAME.fault) {
      throw new HyprError('GUEST_PROTOCOL', `the guest agent did not understand: ${frame.payload.toString('utf8').slice(0, 200)}`);
    } else {
      this.#channels.get(frame.channel)?.accept(frame);
    }
  }

  #fail(error: Error): void {
    for (const channel of this.#channels.values()) {
      channel.fail(error);
    }
    this.#channels.clear();
  }
}

interface Order {
  readonly opcode: number;
  readonly body?: Buffer;
  /** A noun phrase for the error when the answer does not come. */
  readonly what: string;
  readonly ms?: number;
  /** The guest may send output on the order's channel. */
  readonly output?: boolean;
  readonly signal?: AbortSignal | undefined;
}

class Process implements GuestProcess {
  readonly pid: number;
  readonly output: AsyncIterable<OutputChunk>;
  readonly exited: Promise<ProcessExit>;
  readonly #client: Client;
  readonly #channel: Channel;

  constructor(client: Client, channel: Channel, pid: number) {
    this.#client = client;
    this.#channel = channel;
    this.pid = pid;
    // A second loop goes on where the first one stopped.
    this.output = { [Symbol.asyncIterator]: () => channel.output('streams') };
    this.exited = channel.exit.promise;
  }

  write(data: Uint8Array): Promise<void> {
    return this.#channel.write(data);
  }

  closeStdin(): Promise<void> {
    return this.#channel.endInput();
  }

  signal(signal: number): Promise<void> {
    return this.#client.signalProcess(this.#channel.id, signal);
  }

  resize(size: { columns: number; rows: number }): Promise<void> {
    return this.#client.resizeProcess(this.#channel.id, size);
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

async function* nothing(): AsyncGenerator<Uint8Array> {}
