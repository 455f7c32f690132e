import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { sleep } from '../base/deadline.ts';
import { HyprError, messageOf } from '../base/errors.ts';
import { isAlive, signalProcess } from '../base/host/process.ts';
import { logger } from '../base/log.ts';
import { GvproxyApi, parseStats } from './gvproxy-api.ts';
import { type NetworkPrograms, networkPaths } from './gvproxy-config.ts';
import { type Launched, launchGvproxy } from './launch.ts';
import { openNic, openTunnel } from './streams.ts';
import type { Network, NetworkRecord, NetworkSpec } from './types.ts';
import { type Endpoint, FloodedError, UdpPorts } from './udp-ports.ts';

const log = logger('net');

/** gvproxy has no event for a forward that a guest orders, so its list is looked at this often. Also keeps the shared connection alive. */
const WATCH_MS = 3000;
const STOP_MS = 2000;

/**
 * Starts the gvproxy of a network, jailed and in a session of its own, so that it outlives this process.
 * Resolves when its API answers. Throws NET_START with the last lines of its log, or NET_ADDRESS.
 */
export const startNetwork = async (spec: NetworkSpec, programs: NetworkPrograms, signal?: AbortSignal): Promise<Network> => {
  const launched = await launchGvproxy(spec, programs, signal);
  const network = new GvproxyNetwork(launched.record, launched.exited);
  network.watch();
  return network;
};

/**
 * Takes over a network that another process started; undefined if it is gone or does not answer any more
 * (sweep it then). UDP ports that were published stay so.
 */
export const adoptNetwork = async (
  record: NetworkRecord,
  _programs: NetworkPrograms,
  signal?: AbortSignal,
): Promise<Network | undefined> => {
  if (!isAlive(record.process)) {
    return undefined;
  }
  const network = new GvproxyNetwork(record, undefined);
  try {
    await network.loadPorts(signal);
    network.watch();
    return network;
  } catch (error) {
    network.release();
    signal?.throwIfAborted();
    log.warn('a network does not answer and is given up', { network: record.spec.name, error: messageOf(error) });
    return undefined;
  }
};

/** Kills what a record names and removes its run folder; safe to repeat. */
export const sweepNetwork = async (record: NetworkRecord): Promise<void> => {
  signalProcess(record.process, 'SIGKILL');
  await waitGone(record, STOP_MS);
  await rm(record.spec.runDir, { recursive: true, force: true });
};

class GvproxyNetwork implements Network {
  readonly record: NetworkRecord;
  readonly exited: Promise<{ readonly detail: string }>;
  readonly #api: GvproxyApi;
  readonly #udp: UdpPorts;
  #child: Launched['exited'] | undefined;
  #timer: NodeJS.Timeout | undefined;
  #resolveExited: (exit: { detail: string }) => void = () => {};
  #released = false;

  constructor(record: NetworkRecord, child: Launched['exited'] | undefined) {
    this.record = record;
    this.#child = child;
    this.#api = new GvproxyApi(record.socket);
    this.#udp = new UdpPorts({ api: this.#api, file: networkPaths(record.spec.runDir).udp, network: record.spec.name });
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve;
    });
  }

  watch(): void {
    void this.#child?.then((detail) => this.#ended(detail));
    this.#api.onClose(() => void this.#checkAlive());
    this.#timer = setInterval(() => void this.#enforce(), WATCH_MS);
    this.#timer.unref();
    void this.#enforce();
  }

  async loadPorts(signal: AbortSignal | undefined): Promise<void> {
    await this.#udp.load();
    await this.#api.get('/services/forwarder/all', signal);
  }

  connectNic(signal?: AbortSignal): Promise<Socket> {
    return openNic(this.record.socket, signal);
  }

  dial(address: string, port: number, signal?: AbortSignal): Promise<Socket> {
    return openTunnel(this.record.socket, address, port, signal);
  }

  async exposeUdp(local: Endpoint, remote: Endpoint): Promise<void> {
    const { name, internal, udpPorts } = this.record.spec;
    if (internal || udpPorts === false) {
      const why = internal ? 'is internal' : 'was started without UDP ports';
      throw new HyprError('HYPR_UNSUPPORTED', `UDP port ${local.port} cannot be published: network ${name} ${why}`, {
        ...(internal ? { hint: 'attach the service to a network that is not internal as well' } : {}),
      });
    }
    await this.#udp.expose(local, remote);
  }

  unexposeUdp(local: Endpoint): Promise<void> {
    return this.#udp.unexpose(local);
  }

  async stats(): Promise<{ received: number; sent: number }> {
    return parseStats(await this.#api.get('/stats'));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#api.close();
    signalProcess(this.record.process, 'SIGTERM');
    if (!(await waitGone(this.record, STOP_MS))) {
      signalProcess(this.record.process, 'SIGKILL');
      await waitGone(this.record, STOP_MS);
    }
    await rm(this.record.spec.runDir, { recursive: true, force: true });
    this.#ended('stopped');
  }

  release(): void {
    this.#released = true;
    clearInterval(this.#timer);
    this.#api.close();
  }

  async #enforce(): Promise<void> {
    try {
      await this.#udp.enforce();
    } catch (error) {
      if (error instanceof FloodedError) {
        // What cannot be seen cannot be undone: better no network than open ports of the host.
        log.error('a guest floods the API of its network, which is stopped', { network: this.record.spec.name });
        signalProcess(this.record.process, 'SIGKILL');
      }
      await this.#checkAlive();
      if (!this.#released && isAlive(this.record.process)) {
        log.warn('the ports of a network cannot be checked', { network: this.record.spec.name, error: messageOf(error) });
      }
    }
  }

  /** A closed connection may be gvproxy's end, of which /proc learns a moment later. */
  async #checkAlive(): Promise<void> {
    if (!this.#released && (await waitGone(this.record, 200))) {
      this.#ended((await this.#child) ?? 'gvproxy ended');
    }
  }

  #ended(detail: string): void {
    if (!this.#released) {
      this.release();
      this.#resolveExited({ detail });
    }
  }
}

/** True once the process is gone. Processes that are not children give no event, so they are looked at. */
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
