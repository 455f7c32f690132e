import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { HyprError } from '../../base/errors.ts';
import type { NameDirectory, NamedService } from '../names/directory.ts';
import { answerExchange, type EdgeParts } from './answer-exchange.ts';
import { answerUpgrade, endWith } from './answer-upgrade.ts';
import { Certificates } from './certificates.ts';
import { Connections } from './connections.ts';
import { GrpcForwarder } from './grpc.ts';
import { parseAuthority } from './http/hosts.ts';
import { MAX_INSIDE_CONNECTIONS } from './http/limits.ts';
import type { Exchange, LeafIssuer } from './http/types.ts';
import { foreignHost } from './pages/answers.ts';
import { sendAnswer } from './pages/error-page.ts';
import { Upstreams } from './upstreams.ts';

/** A machine whose port 443 the edge answers for other machines of its network. */
export interface InsideMachine extends Pick<NamedService, 'stack' | 'service' | 'hostHeader'> {
  /** Its names inside, in full: `api.shop.hypr`. */
  readonly hosts: ReadonlySet<string>;
  /** The one port that stands behind its 443. */
  readonly port: number;
  /** A connection to that port. */
  readonly connect: (signal: AbortSignal) => Promise<Duplex>;
}

/**
 * Speaks TLS and HTTP for machines to machines: `https://api.shop.hypr` from one service to another. Unlike the edge of the host it has no
 * pages, is no proxy, and leads from a machine's 443 to that machine's one port and nowhere else, whatever a client names.
 */
export class InsideEdge {
  readonly #domain: string;
  readonly #certificates: Certificates;
  readonly #machines = new Map<InsideMachine, OneMachine>();
  /** How many connections each machine has, by its address. */
  readonly #counts = new Map<string, number>();

  constructor(options: { readonly domain: string; readonly issuer: LeafIssuer }) {
    this.#domain = options.domain;
    this.#certificates = new Certificates(options.issuer, options.domain);
  }

  /** Takes a connection of the machine with the address `from`. */
  accept(socket: Socket, from: string, machine: InsideMachine): void {
    const count = this.#counts.get(from) ?? 0;
    if (count >= MAX_INSIDE_CONNECTIONS) {
      socket.destroy();
      return;
    }
    this.#counts.set(from, count + 1);
    socket.once('close', () => this.#left(from));
    let one = this.#machines.get(machine);
    if (one === undefined) {
      one = new OneMachine(machine, this.#domain, this.#certificates);
      this.#machines.set(machine, one);
    }
    one.accept(socket, from);
  }

  #left(from: string): void {
    const count = (this.#counts.get(from) ?? 1) - 1;
    count > 0 ? this.#counts.set(from, count) : this.#counts.delete(from);
  }

  /** Ends what was kept for machines that are gone, or are others now. */
  keepOnly(machines: ReadonlySet<InsideMachine>): void {
    for (const [machine, one] of this.#machines) {
      if (!machines.has(machine)) {
        this.#machines.delete(machine);
        one.close();
      }
    }
  }

  close(): void {
    this.keepOnly(new Set());
  }
}

/** What serves one machine, with connections of each machine that asks apart: a request does not say whose it is. */
class OneMachine {
  readonly #hosts: ReadonlySet<string>;
  readonly #certificates: Certificates;
  readonly #parts: EdgeParts;
  readonly #clients = new Map<string, Connections>();

  constructor(machine: InsideMachine, domain: string, certificates: Certificates) {
    const directory = directoryOf(machine, domain);
    const upstreams = new Upstreams(directory);
    this.#hosts = machine.hosts;
    this.#certificates = certificates;
    this.#parts = {
      ...{ directory, domain, upstreams, grpc: new GrpcForwarder(upstreams, directory) },
      ...{ own: refuse, wait: refuse },
      onEvent: () => {},
    };
  }

  accept(socket: Socket, from: string): void {
    const connections = this.#clients.get(from) ?? this.#serve(from);
    this.#clients.set(from, connections);
    connections.accept(socket);
    socket.once('close', () => setImmediate(() => this.#leave(from, connections)));
  }

  close(): void {
    for (const connections of this.#clients.values()) {
      connections.close();
    }
    this.#clients.clear();
    this.#parts.grpc.close();
    this.#parts.upstreams.close();
  }

  #isNamed({ authority }: Pick<Exchange, 'authority'>): boolean {
    return this.#hosts.has(parseAuthority(authority)?.host ?? '');
  }

  #leave(from: string, connections: Connections): void {
    if (connections.count === 0 && this.#clients.get(from) === connections) {
      this.#clients.delete(from);
      connections.close();
    }
  }

  #serve(from: string): Connections {
    const parts = this.#parts;
    return new Connections(
      {
        // Names of other machines are wrong here, and so are numbers of ports in front of a name.
        exchange: (exchange) => (this.#isNamed(exchange) ? answerExchange({ ...exchange, from }, parts) : refuse(exchange)),
        upgrade: (request, client, head, secure) => answerUpgrade(request, client, head, secure, { ...parts, from }),
        connect: (_request, client) => endWith(client, foreignHost(true)),
      },
      this.#certificates,
    );
  }
}

const refuse = (exchange: Exchange): void => sendAnswer(exchange, foreignHost(false));

/** Knows one machine, with one port. */
const directoryOf = (machine: InsideMachine, domain: string): NameDirectory => {
  const { hosts, port, connect, ...known } = machine;
  const service: NamedService = {
    ...known,
    host: [...hosts][0]?.slice(0, -domain.length - 1) ?? '',
    ...{ state: 'running', address: '127.0.0.1', isBound: false, ports: [{ port, protocol: 'http' }], webPort: port, https: true },
    connect: (asked, signal) =>
      asked === port ? connect(signal) : Promise.reject(new HyprError('NAME_UNREACHABLE', `port ${asked} is not reached by https`)),
  };
  return {
    find: (host) => (hosts.has(`${host.toLowerCase()}.${domain}`) ? service : undefined),
    list: () => [service],
    onChange: () => () => {},
    close: () => {},
  };
};
