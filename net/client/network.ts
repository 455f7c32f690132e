import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { sleep } from '../../base/deadline.ts';
import { messageOf } from '../../base/errors.ts';
import { removeCgroup } from '../../base/host/cgroup.ts';
import { isAlive, signalProcess } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import type {
  EdgeConnection,
  Network,
  NetworkEvent,
  NetworkNic,
  NetworkPolicy,
  NetworkRecord,
  NetworkSpec,
  NetworkState,
} from '../types.ts';
import type { NetworkPrograms, Resolvers } from './config.ts';
import { GatewayControl } from './control.ts';
import { type Launched, launchGateway } from './launch.ts';
import { readResolvers, watchResolvers } from './resolvers.ts';
import { fetchEdge, openCapture, openDatagrams, openNic, openTunnel } from './streams.ts';

const log = logger('net');

const STOP_MS = 2000;
/** Allowed between the end of the control connection and the exit of the process. */
const GONE_MS = 500;
const DEFAULT_SNAP = 65_535;

/**
 * Starts a network's gateway, sandboxed and in its own session, so that it outlives this process. Resolves when it
 * answers. Throws NET_START with the gateway's reason or the last lines of its log, or NET_ADDRESS.
 */
export const startNetwork = async (spec: NetworkSpec, programs: NetworkPrograms, signal?: AbortSignal): Promise<Network> => {
  const launched = await launchGateway(spec, programs, signal);
  return new GatewayNetwork(launched.record, launched.control, launched.exited);
};

/**
 * Takes over a network that another process started; undefined if it has exited or no longer answers (sweep it then).
 * Its machines, rules and connections are not touched.
 */
export const adoptNetwork = async (
  record: NetworkRecord,
  _programs: NetworkPrograms,
  signal?: AbortSignal,
): Promise<Network | undefined> => {
  if (!isAlive(record.process)) {
    return undefined;
  }
  try {
    const control = await GatewayControl.open(record.socket, signal);
    const network = new GatewayNetwork(record, control, undefined);
    network.pushResolvers(await readResolvers());
    return network;
  } catch (error) {
    signal?.throwIfAborted();
    log.warn('a network does not answer and is given up', { network: record.spec.name, error: messageOf(error) });
    return undefined;
  }
};

/** Kills what a record names and removes its run folder; safe to repeat. */
export const sweepNetwork = async (record: NetworkRecord): Promise<void> => {
  signalProcess(record.process, 'SIGKILL');
  await waitGone(record, STOP_MS);
  if (record.cgroup !== undefined) {
    await removeCgroup(record.cgroup);
  }
  await rm(record.spec.runDir, { recursive: true, force: true });
};

class GatewayNetwork implements Network {
  readonly record: NetworkRecord;
  readonly exited: Promise<{ readonly detail: string }>;
  readonly #control: GatewayControl;
  readonly #child: Launched['exited'] | undefined;
  readonly #resolvers: { close(): void } | undefined;
  #resolveExited: (exit: { detail: string }) => void = () => {};
  #stopEdges: () => void = () => {};
  #released = false;

  constructor(record: NetworkRecord, control: GatewayControl, child: Launched['exited'] | undefined) {
    this.record = record;
    this.#control = control;
    this.#child = child;
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve;
    });
    control.unref();
    void child?.then((detail) => this.#ended(detail));
    control.onClose(() => void this.#lost());
    this.#resolvers = record.spec.internal ? undefined : watchResolvers((resolvers) => this.pushResolvers(resolvers));
  }

  pushResolvers(resolvers: Resolvers): void {
    if (!this.record.spec.internal) {
      this.#control
        .request('resolvers', resolvers)
        .catch((error: unknown) => log.warn('name servers were not told', { network: this.record.spec.name, error: messageOf(error) }));
    }
  }

  connectNic(nic: NetworkNic, signal?: AbortSignal): Promise<Socket> {
    return openNic(this.record.socket, nic, signal);
  }

  dial(address: string, port: number, signal?: AbortSignal): Promise<Socket> {
    return openTunnel(this.record.socket, address, port, signal);
  }

  dialUdp(address: string, port: number, signal?: AbortSignal): Promise<Socket> {
    return openDatagrams(this.record.socket, address, port, signal);
  }

  capture(options: { snap?: number; signal?: AbortSignal } = {}): Promise<Socket> {
    return openCapture(this.record.socket, options.snap ?? DEFAULT_SNAP, options.signal);
  }

  async detachNic(mac: string): Promise<void> {
    await this.#control.request('detach', { mac });
  }

  async setPolicy(mac: string, policy: { egress?: NetworkPolicy; peers?: NetworkPolicy }): Promise<void> {
    await this.#control.request('policy', { ...policy, mac });
  }

  async setNames(owner: string, names: Readonly<Record<string, readonly string[]>>): Promise<void> {
    await this.#control.request('names', { owner, names });
  }

  async setEdges(targets: Readonly<Record<string, number>>, accept: (connection: EdgeConnection) => void): Promise<void> {
    this.#stopEdges();
    this.#stopEdges = this.#control.onEvent((event) => event.event === 'edge' && void this.#fetchEdge(event, accept));
    await this.#control.request('edge', { targets });
  }

  /** Never rejects: the machine sees a refused connection. */
  async #fetchEdge({ edge = 0, from = '', to = '' }: NetworkEvent, accept: (connection: EdgeConnection) => void): Promise<void> {
    try {
      const socket = await fetchEdge(this.record.socket, edge);
      accept({ socket, from: addressOf(from), to: addressOf(to) });
    } catch (error) {
      log.info('a connection to port 443 was not taken', { network: this.record.spec.name, from, to, error: messageOf(error) });
    }
  }

  onEvent(listener: (event: NetworkEvent) => void): () => void {
    return this.#control.onEvent(listener);
  }

  async state(): Promise<NetworkState> {
    return (await this.#control.request('state')).state as NetworkState;
  }

  async stats(): Promise<{ received: number; sent: number }> {
    const { machines } = await this.state();
    return machines.reduce((sum, each) => ({ received: sum.received + each.received, sent: sum.sent + each.sent }), {
      received: 0,
      sent: 0,
    });
  }

  async stop(): Promise<void> {
    this.#letGo();
    signalProcess(this.record.process, 'SIGTERM');
    if (!(await waitGone(this.record, STOP_MS))) {
      signalProcess(this.record.process, 'SIGKILL');
      await waitGone(this.record, STOP_MS);
    }
    if (this.record.cgroup !== undefined) {
      await removeCgroup(this.record.cgroup);
    }
    await rm(this.record.spec.runDir, { recursive: true, force: true });
    this.#ended('stopped');
  }

  release(): void {
    this.#released = true;
    this.#letGo();
  }

  #letGo(): void {
    this.#resolvers?.close();
    this.#control.close();
  }

  /** The control connection closed: the gateway exited, which /proc shows a moment later, or it can no longer be reached. */
  async #lost(): Promise<void> {
    if (!this.#released && !(await waitGone(this.record, GONE_MS))) {
      log.error('a network lives but does not answer; it is ended', { network: this.record.spec.name });
      signalProcess(this.record.process, 'SIGKILL');
      await waitGone(this.record, STOP_MS);
    }
    this.#ended((await this.#child) ?? 'the gateway ended');
  }

  #ended(detail: string): void {
    if (!this.#released) {
      this.release();
      this.#resolveExited({ detail });
    }
  }
}

/** `10.89.7.3:443`, `[fd00::3]:443`. */
const addressOf = (text: string): string => text.slice(0, text.lastIndexOf(':')).replace(/^\[|\]$/g, '');

/** True once the process has exited. Processes that are not children give no exit event, so this polls. */
const waitGone = async (record: NetworkRecord, ms: number): Promise<boolean> => {
  const deadline = Date.now() + ms;
  while (isAlive(record.process)) {
    if (Date.now() >= deadline) {
      return false;
    }
    await sleep(10);
  }
  return true;
};
