import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { orAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import type { AsyncQueue } from '../../base/queue.ts';
import {
  encodeEdits,
  encodeFiles,
  encodeMachine,
  encodeNames,
  encodeNics,
  encodeProcess,
  encodeRoot,
  encodeSimple,
} from '../protocol/encode.ts';
import { type Frame, readFields } from '../protocol/protocol.ts';
import { FRAME, OPCODE, TAG } from '../protocol/tags.ts';
import type {
  FileSpec,
  GuestClient,
  GuestEvent,
  GuestInfo,
  GuestProcess,
  GuestStats,
  MachineConfig,
  MemberOptions,
  NameTable,
  NicConfig,
  PowerOffOptions,
  ProcessExit,
  ProcessSpec,
  RelayPlace,
  ResolverConfig,
  ShareEdits,
} from '../types.ts';
import { SILENT_START } from '../types.ts';
import type { VolumeStream } from '../volume-stream.ts';
import { type Connection, lostError, openConnection, openConnectionOver } from './connection.ts';
import { newEventQueue, readEvent } from './events.ts';
import { readInfo, readStats } from './info.ts';
import { awaitFirstRequest, openVolumeStream } from './open-volume-stream.ts';
import { ClientProcess } from './process.ts';
import { readExit } from './process-channel.ts';
import { type Dialer, openDialer, openRelay } from './relay.ts';
import { Requests } from './requests.ts';

export { GuestExecError } from './process-channel.ts';

/** Deadlines in milliseconds of requests that may take longer than others. */
const LONGEST = 2 ** 31 - 1;
const DEADLINE = {
  ...{ start: 90_000, prepare: 180_000, powerOff: 30_000, nics: 60_000, edits: 60_000, lastSignal: 2_000 },
  // The caller's signal ends these.
  ...{ relay: LONGEST, settle: LONGEST },
};
const { SIGKILL } = constants.signals;

/**
 * Connects to the agent behind a unix socket, waiting up to `timeout` ms for a guest that is still booting. Throws
 * HYPR_TIMEOUT, GUEST_PROTOCOL (another version, or not an agent) or the signal's reason.
 */
export const connectGuest = async (
  socketPath: string,
  options: { signal?: AbortSignal | undefined; timeout: number },
): Promise<GuestClient> => new Client(await openConnection(socketPath, options));

class Client implements GuestClient {
  readonly info: GuestInfo;
  readonly closed: Promise<void>;
  readonly #connection: Connection;
  readonly #requests: Requests;
  /** For all connections into the guest; made for the first one. */
  #dialer: Promise<Dialer> | undefined;
  readonly #listeners = new Set<AsyncQueue<GuestEvent>>();

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#requests = new Requests(connection);
    this.info = readInfo(connection.welcome);
    this.closed = connection.closed.then((reason) => this.#requests.fail(reason ?? lostError()));
    connection.onFrame((frame) => this.#onFrame(frame));
  }

  async prepare(config: MachineConfig, signal?: AbortSignal): Promise<void> {
    await this.#requests.ask({
      opcode: OPCODE.prepare,
      body: encodeMachine(config),
      what: 'preparing the guest',
      ms: DEADLINE.prepare,
      signal,
    });
  }

  async mountRoot(root: { readonly disk: string; readonly upper: string }, signal?: AbortSignal): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.mountRoot, body: encodeRoot(root), what: 'mounting the root', ms: DEADLINE.prepare, signal });
  }

  async forget(signal?: AbortSignal): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.forget, what: 'forgetting a rehearsal', signal });
  }

  startWorkload(spec: ProcessSpec, signal?: AbortSignal): Promise<GuestProcess> {
    return this.#run(OPCODE.start, encodeProcess(spec), signal);
  }

  spawn(spec: ProcessSpec, signal?: AbortSignal): Promise<GuestProcess> {
    return this.#run(OPCODE.spawn, encodeProcess(spec), signal);
  }

  async attachWorkload(signal?: AbortSignal): Promise<GuestProcess> {
    const channel = this.#requests.open();
    try {
      const answer = await this.#requests.finish(channel, { opcode: OPCODE.attach, what: 'attaching to the workload', signal });
      channel.resumeInput(answer.int(TAG.answer.inputReceived) ?? 0);
      channel.openOutput([answer.int(TAG.answer.outputStart) ?? 0, answer.int(TAG.answer.errorStart) ?? 0]);
      return new ClientProcess(this, channel, answer.int(TAG.answer.pid) ?? 0);
    } catch (error) {
      this.#requests.forget(channel);
      throw error;
    }
  }

  async #run(opcode: number, body: Buffer, signal: AbortSignal | undefined): Promise<GuestProcess> {
    const channel = this.#requests.open();
    try {
      const answer = await this.#requests.finish(channel, {
        opcode,
        body,
        what: 'the start of a program in the guest',
        output: true,
        // The guest waits half a minute for a step's disk. Its reason is more useful than our timeout.
        ms: DEADLINE.start,
        signal,
      });
      return new ClientProcess(this, channel, answer.int(TAG.answer.pid) ?? 0);
    } catch (error) {
      if (signal?.aborted) {
        // It may have started even so. An agent that does not answer holds up nobody who has given up on it.
        const body = encodeSimple({ channel: channel.id, signal: SIGKILL });
        await this.#requests.ask({ opcode: OPCODE.signal, body, what: 'sending a signal', ms: DEADLINE.lastSignal }).catch(() => {});
      }
      this.#requests.drop(channel);
      throw error instanceof HyprError && error.code === 'HYPR_TIMEOUT'
        ? new HyprError('HYPR_TIMEOUT', error.message, { reason: SILENT_START, cause: error })
        : error;
    }
  }

  async setNames(names: NameTable, signal?: AbortSignal): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.names, body: encodeNames(names), what: 'the new name table', signal });
  }

  async addNics(nics: readonly NicConfig[], resolver: Pick<ResolverConfig, 'search' | 'upstreams'>, signal?: AbortSignal): Promise<void> {
    const body = encodeNics(nics, resolver);
    await this.#requests.ask({ opcode: OPCODE.nics, body, what: 'a network card of the guest', ms: DEADLINE.nics, signal });
  }

  async setClock(now: number, signal?: AbortSignal): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.clock, body: encodeSimple({ clock: now }), what: 'setting the clock', signal });
  }

  async writeFiles(files: readonly FileSpec[], signal?: AbortSignal): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.files, body: encodeFiles(files), what: 'writing files into the guest', signal });
  }

  async signalProcess(channel: number, signal: number): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.signal, body: encodeSimple({ channel, signal }), what: 'sending a signal' });
  }

  async resizeProcess(channel: number, size: { columns: number; rows: number }): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.resize, body: encodeSimple({ channel, ...size }), what: 'resizing a terminal' });
  }

  async writeTar(target: string, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    await this.#requests.upload(
      { opcode: OPCODE.writeTar, body: encodeSimple({ path: target }), what: `unpacking files in ${target}`, signal },
      tar,
    );
  }

  readTar(path: string, options: { followLinks?: boolean } = {}, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const body = encodeSimple({ path, flag: options.followLinks ?? false });
    return this.#requests.download({ opcode: OPCODE.readTar, body, what: `reading ${path}`, signal });
  }

  readLayer(signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#requests.download({ opcode: OPCODE.readLayer, what: 'reading the layer', signal });
  }

  async pushLayer(tar?: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    const request = { opcode: OPCODE.pushLayer, body: encodeSimple({ flag: tar !== undefined }), what: 'freezing the layer', signal };
    await this.#requests.upload(request, tar ?? nothing());
  }

  async dropLayers(keep: number, signal?: AbortSignal): Promise<void> {
    const body = encodeSimple({ count: keep });
    await this.#requests.ask({ opcode: OPCODE.dropLayers, body, what: 'dropping layers', ms: DEADLINE.prepare, signal });
  }

  async stageFolder(name: string, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    await this.#requests.upload(
      { opcode: OPCODE.stage, body: encodeSimple({ path: name }), what: 'bringing in what a step mounts', signal },
      tar,
    );
  }

  async releaseStep(disks: readonly string[], signal?: AbortSignal): Promise<void> {
    const body = encodeSimple({ path: disks.join(' ') });
    await this.#requests.ask({ opcode: OPCODE.release, body, what: 'taking away what a step had mounted', ms: DEADLINE.prepare, signal });
  }

  relay(place: RelayPlace, accept: (connection: Duplex) => void, signal?: AbortSignal): Promise<{ close(): Promise<void> }> {
    const socketPlace = ({ socket, ...rest }: Exclude<RelayPlace, { port: number }>) => ({ path: socket, ...rest });
    const body = encodeSimple('port' in place ? place : socketPlace(place));
    return openRelay({ ...this.#carrier(OPCODE.relay, 'a listener in the guest', body), accept, signal });
  }

  dial(port: number, signal?: AbortSignal): Promise<Duplex> {
    return this.#connect(port, signal);
  }

  async openMember(name: string, options: MemberOptions): Promise<GuestClient> {
    const { signal } = options;
    const body = encodeSimple({ path: name, flag: options.sharesIpc });
    await this.#requests.ask({ opcode: OPCODE.member, body, what: 'a further service in the guest', signal });
    return new Client(await openConnectionOver(await this.#connect(name, signal), options));
  }

  async endMember(name: string, signal?: AbortSignal): Promise<void> {
    const body = encodeSimple({ path: name });
    await this.#requests.ask({ opcode: OPCODE.endMember, body, what: 'the end of a service in the guest', signal });
  }

  async #connect(place: number | string, signal: AbortSignal | undefined): Promise<Duplex> {
    this.#dialer ??= this.#openDialer();
    return (await orAbort(this.#dialer, signal)).connect(place);
  }

  async #openDialer(): Promise<Dialer> {
    const forget = () => {
      this.#dialer = undefined;
    };
    try {
      const dialer = await openDialer(this.#carrier(OPCODE.dial, 'connections into the guest', Buffer.alloc(0)));
      void dialer.ended.then(forget);
      return dialer;
    } catch (error) {
      forget();
      throw error;
    }
  }

  lend(disk: string, { readOnly }: { readonly readOnly: boolean }): VolumeStream {
    return openVolumeStream(this.#carrier(OPCODE.lend, 'a volume of the guest', encodeSimple({ path: disk, flag: readOnly })));
  }

  borrow(tag: string, signal?: AbortSignal): Promise<VolumeStream> {
    const stream = openVolumeStream(this.#carrier(OPCODE.borrow, 'a volume of another machine', encodeSimple({ path: tag })));
    return awaitFirstRequest(stream, signal);
  }

  /** A request whose channel carries connections until it is dropped. */
  #carrier(opcode: number, what: string, body: Buffer) {
    const channel = this.#requests.open();
    const answer = this.#requests.finish(channel, { opcode, body, what, output: true, ms: DEADLINE.relay });
    return { channel, answer, drop: () => this.#requests.drop(channel) };
  }

  async stats(signal?: AbortSignal): Promise<GuestStats> {
    return readStats(await this.#requests.ask({ opcode: OPCODE.stats, what: 'the usage of the guest', signal }));
  }

  async sync(signal?: AbortSignal): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.sync, what: 'syncing the disks of the guest', ms: DEADLINE.prepare, signal });
  }

  async settle(signal?: AbortSignal): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.settle, what: 'making synced folders equal', ms: DEADLINE.settle, signal });
  }

  async powerOff(options: PowerOffOptions, signal?: AbortSignal): Promise<ProcessExit | undefined> {
    const body = encodeSimple({ signal: options.stopSignal, grace: options.graceMs, flush: options.flushMs });
    const ms = options.graceMs + (options.flushMs ?? 0) + DEADLINE.powerOff;
    return readExit(await this.#requests.ask({ opcode: OPCODE.powerOff, body, what: 'the end of the guest', ms, signal }));
  }

  async tellEdits(edits: ShareEdits, signal?: AbortSignal): Promise<void> {
    await this.#requests.ask({ opcode: OPCODE.edits, body: encodeEdits(edits), what: 'telling of edits', ms: DEADLINE.edits, signal });
  }

  async *events(): AsyncIterable<GuestEvent> {
    const queue = newEventQueue();
    this.#listeners.add(queue);
    void this.closed.then(() => queue.end());
    try {
      if (this.#listeners.size === 1) {
        await this.#requests.ask({ opcode: OPCODE.watch, body: encodeSimple({ flag: true }), what: 'watching the guest' });
      }
      yield* queue;
    } finally {
      this.#listeners.delete(queue);
      if (this.#listeners.size === 0) {
        void this.#requests.ask({ opcode: OPCODE.watch, body: encodeSimple({ flag: false }), what: 'watching the guest' }).catch(() => {});
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

  #onFrame(frame: Frame): void {
    if (frame.type === FRAME.event) {
      const event = readEvent(readFields(frame.payload));
      for (const listener of event === undefined ? [] : this.#listeners) {
        listener.push(event as GuestEvent);
      }
    } else if (frame.type === FRAME.fault) {
      throw new HyprError('GUEST_PROTOCOL', `the guest agent did not understand: ${frame.payload.toString('utf8').slice(0, 200)}`);
    } else {
      this.#requests.accept(frame);
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
