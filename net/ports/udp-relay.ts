import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { Network, PublishedPort } from '../types.ts';
import { bindUdpSocket, withDefaultAddress } from './check-ports.ts';

const log = logger('net');

/** Clients remembered at a time; the gateway has the same limit and drops idle ones. */
const MAX_FLOWS = 2048;
const HEAD = 6;
/** Sent instead of a length: the flow has been dropped. */
const CLOSED = 0xffff;
/** Datagrams beyond this are dropped while the gateway does not read. */
const MAX_WAITING = 1024 * 1024;

interface Flow {
  readonly id: number;
  readonly key: string;
  readonly client: { readonly address: string; readonly port: number };
}

export interface UdpCounters {
  readonly flows: number;
  readonly open: number;
  readonly received: number;
  readonly sent: number;
}

/**
 * Publishes a UDP port of the host. The machine sees datagrams as coming from the gateway, with one flow per client, and
 * its answers go back to that client. Throws as checkPorts does.
 */
export const publishUdp = async (
  network: Pick<Network, 'dialUdp'>,
  wanted: PublishedPort,
): Promise<{ readonly port: PublishedPort; counters(): UdpCounters; close(): Promise<void> }> => {
  const port = withDefaultAddress(wanted);
  const host = createSocket(port.hostAddress.includes(':') ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' });
  const hostPort = await bindUdpSocket(host, port);
  try {
    const relay = new UdpRelay(host, await network.dialUdp(port.address, port.port));
    return { port: { ...port, hostPort }, counters: () => relay.counters(), close: () => relay.close() };
  } catch (error) {
    await closeSocket(host);
    throw error;
  }
};

/** One published port: a socket of the host on one side, a stream to the gateway on the other. */
class UdpRelay {
  readonly #host: UdpSocket;
  readonly #tunnel: Socket;
  /** In order of last use. */
  readonly #byClient = new Map<string, Flow>();
  readonly #byId = new Map<number, Flow>();
  #pending = Buffer.alloc(0);
  #nextId = 0;
  #received = 0;
  #sent = 0;
  #closed: Promise<void> | undefined;

  constructor(host: UdpSocket, tunnel: Socket) {
    this.#host = host;
    this.#tunnel = tunnel;
    host.on('message', (data, from) => this.#fromClient(data, from));
    host.on('error', (error) => log.warn('a published UDP port failed', { error: messageOf(error) }));
    tunnel.on('data', (chunk) => this.#fromGuest(chunk));
    tunnel.on('error', () => {});
  }

  counters(): UdpCounters {
    return { flows: this.#nextId, open: this.#byId.size, received: this.#received, sent: this.#sent };
  }

  close(): Promise<void> {
    this.#closed ??= closeSocket(this.#host);
    this.#tunnel.destroy();
    return this.#closed;
  }

  #fromClient(data: Buffer, from: RemoteInfo): void {
    if (this.#tunnel.destroyed || this.#tunnel.writableLength > MAX_WAITING) {
      return;
    }
    const flow = this.#flowOf(from);
    this.#received += data.length;
    this.#tunnel.cork();
    this.#tunnel.write(headOf(data.length, flow.id));
    this.#tunnel.write(data);
    this.#tunnel.uncork();
  }

  #flowOf({ address, port }: RemoteInfo): Flow {
    const key = `${address} ${port}`;
    const known = this.#byClient.get(key);
    if (known !== undefined) {
      this.#byClient.delete(key);
      this.#byClient.set(key, known);
      return known;
    }
    const [oldest] = this.#byId.size >= MAX_FLOWS ? this.#byClient.values() : [];
    if (oldest !== undefined) {
      this.#forget(oldest);
      this.#tunnel.write(headOf(CLOSED, oldest.id));
    }
    const flow = { id: this.#nextId, key, client: { address, port } };
    this.#nextId = (this.#nextId + 1) >>> 0;
    this.#byClient.set(key, flow);
    this.#byId.set(flow.id, flow);
    return flow;
  }

  #forget(flow: Flow): void {
    this.#byClient.delete(flow.key);
    this.#byId.delete(flow.id);
  }

  #fromGuest(chunk: Buffer): void {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (rest.length >= HEAD) {
      const size = rest.readUInt16BE(0);
      const flow = this.#byId.get(rest.readUInt32BE(2));
      if (size === CLOSED) {
        rest = rest.subarray(HEAD);
        if (flow !== undefined) {
          this.#forget(flow);
        }
        continue;
      }
      if (rest.length < HEAD + size) {
        break;
      }
      if (flow !== undefined && this.#closed === undefined) {
        this.#sent += size;
        // A copy, because the datagram may be sent after this chunk's memory has been reused.
        this.#host.send(Buffer.from(rest.subarray(HEAD, HEAD + size)), flow.client.port, flow.client.address, () => {});
      }
      rest = rest.subarray(HEAD + size);
    }
    this.#pending = Buffer.from(rest);
  }
}

const headOf = (size: number, id: number): Buffer => {
  const head = Buffer.alloc(HEAD);
  head.writeUInt16BE(size, 0);
  head.writeUInt32BE(id, 2);
  return head;
};

const closeSocket = (socket: UdpSocket): Promise<void> => new Promise((resolve) => socket.close(() => resolve()));
