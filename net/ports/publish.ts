import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { onAbort } from '../../base/abort.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { Dial, Network, PublishedPort } from '../types.ts';
import { listenTcp, withDefaultAddress } from './check-ports.ts';
import { join } from './join.ts';
import { publishUdp } from './udp-relay.ts';

const log = logger('net');

export interface PortCounters {
  /** Connections in total, and open ones. */
  readonly connections: number;
  readonly open: number;
  /** Bytes from clients to the guest, and from the guest to clients. */
  readonly received: number;
  readonly sent: number;
}

/**
 * Resolves when something listens on the port inside, or when there is no use in waiting; rejects when nothing will listen. A
 * connection is not carried before.
 */
export type AwaitPort = (port: number, signal: AbortSignal) => Promise<void>;

/** Published ports that are being listened on; closing ends their connections too. */
export interface Listener {
  /** As requested; port 0 is replaced by the port the system chose. */
  readonly ports: readonly PublishedPort[];
  counters(): PortCounters;
  close(): Promise<void>;
}

/**
 * Listens on TCP ports of the host and forwards each connection through the network's tunnel. Both directions close
 * independently, and a slow reader slows the writer. All ports or none: throws as checkPorts does. Aborting the signal
 * closes.
 */
export const publishTcp = async (options: {
  readonly ports: readonly PublishedPort[];
  readonly network: Dial;
  readonly awaitPort?: AwaitPort | undefined;
  readonly signal?: AbortSignal;
}): Promise<Listener> => {
  options.signal?.throwIfAborted();
  const relay = new Relay(options.network, options.awaitPort);
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    const closed = servers.map(closeServer);
    relay.close();
    await Promise.all(closed);
  };
  try {
    const ports: PublishedPort[] = [];
    for (const wanted of options.ports) {
      const port = withDefaultAddress(wanted);
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => relay.carry(client, port));
      const hostPort = await listenTcp(server, port);
      servers.push(server);
      ports.push({ ...port, hostPort });
    }
    options.signal?.throwIfAborted();
    onAbort(options.signal, () => void close());
    return { ports, counters: () => relay.counters(), close };
  } catch (error) {
    await close();
    throw error;
  }
};

/** Publishes one port of either protocol. */
export const publishPort = async (
  network: Dial & Pick<Network, 'dialUdp'>,
  wanted: PublishedPort,
  awaitPort?: AwaitPort,
): Promise<{ readonly port: PublishedPort; counters(): PortCounters; close(): Promise<void> }> => {
  if (wanted.protocol === 'tcp') {
    const listener = await publishTcp({ ports: [wanted], network, awaitPort });
    return { port: listener.ports[0] ?? wanted, counters: () => listener.counters(), close: () => listener.close() };
  }
  const relay = await publishUdp(network, wanted);
  const counters = (): PortCounters => {
    const { flows, ...rest } = relay.counters();
    return { connections: flows, ...rest };
  };
  return { port: relay.port, counters, close: () => relay.close() };
};

/** At most this many clients wait for one port; more are not waiting for a start. */
const MOST_HELD = 512;

/** The connections of one listener. */
class Relay {
  readonly #network: Dial;
  readonly #awaitPort: AwaitPort;
  readonly #clients = new Set<Socket>();
  readonly #closing = new AbortController();
  #connections = 0;
  /** Connections that wait for a listener. */
  #held = 0;
  #received = 0;
  #sent = 0;

  constructor(network: Dial, awaitPort: AwaitPort = async () => {}) {
    this.#network = network;
    this.#awaitPort = awaitPort;
  }

  carry(client: Socket, port: PublishedPort): void {
    this.#connections += 1;
    this.#clients.add(client);
    client.setNoDelay(true);
    client.on('error', () => client.destroy());
    client.once('close', () => {
      this.#clients.delete(client);
      this.#received += client.bytesRead;
      this.#sent += client.bytesWritten;
    });
    this.#dial(port).then(
      (upstream) => join(client, upstream),
      (error: unknown) => {
        log.warn('a published port could not be carried into its network', { port: port.port, error: messageOf(error) });
        client.resetAndDestroy();
      },
    );
  }

  /** A client that connects while its service starts is not read before the service listens: the kernel keeps what it has sent. */
  async #dial(port: PublishedPort): Promise<Duplex> {
    if (this.#held >= MOST_HELD) {
      throw new HyprError('NET_PORT_IN_USE', `${MOST_HELD} connections wait for port ${port.port} already`);
    }
    this.#held += 1;
    try {
      await this.#awaitPort(port.port, this.#closing.signal);
    } finally {
      this.#held -= 1;
    }
    return this.#network.dial(port.address, port.port, this.#closing.signal);
  }

  counters(): PortCounters {
    const sum = (first: number, pick: (client: Socket) => number): number =>
      [...this.#clients].reduce((total, client) => total + pick(client), first);
    return {
      connections: this.#connections,
      open: this.#clients.size,
      received: sum(this.#received, (client) => client.bytesRead),
      sent: sum(this.#sent, (client) => client.bytesWritten),
    };
  }

  close(): void {
    this.#closing.abort();
    for (const client of this.#clients) {
      client.destroy();
    }
  }
}

const closeServer = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
