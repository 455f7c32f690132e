import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { HyprError, messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import { openTunnel } from '../../../net/client/streams.ts';
import { nameDomain } from '../../../net/names/directory.ts';
import { systemKnowsNames } from '../../../net/names/system-names.ts';
import { type Listener, publishTcp } from '../../../net/ports/publish.ts';
import type { PublishedName, PublishedNames } from '../../model/published-names.ts';
import type { PublishedStackNames } from './stack-names.ts';

const log = logger('names');

/** After this time it is tried again whether the system's resolver asks us, when something begins to listen. */
const TRY_AGAIN_MS = 10_000;
const EDGE_ADDRESS = '127.0.0.1';
/** The ports of URLs without a port: the edge serves them where the service does not listen there. */
const EDGE_PORTS = [80, 443];

export interface LoopbackPortsOptions {
  readonly names: PublishedStackNames;
  /** Whether programs of this host find services by name. Tests pass their own. */
  readonly reachesPrograms?: (signal: AbortSignal) => Promise<boolean>;
  readonly firstPort?: () => Promise<number>;
}

/** Ports of one loopback address. */
interface Wanted {
  readonly address: string;
  /** Where a connection goes, by the latest names. */
  readonly name: PublishedName;
  readonly owner: string;
  readonly ports: ReadonlySet<number>;
  /** Ports that are forwarded to the edge. */
  readonly edge: ReadonlySet<number>;
}

/**
 * Opens what services listen on at their own loopback addresses, so that `psql -h db.shop.hypr` works without `ports:`. Only where the
 * system's resolver asks our DNS server, which is tried; HYPR_LOOPBACK=1 says that it does, 0 that nothing is to be opened. Ports
 * that this user may not open are left out. They close as their listeners go.
 */
export class LoopbackPorts {
  readonly #options: LoopbackPortsOptions;
  readonly #open = new Map<string, Listener>();
  readonly #wanted = new Map<string, Wanted>();
  readonly #unsubscribe: (() => void) | undefined;
  #reaches: { readonly answer: boolean; readonly at: number } | undefined;
  #latest: PublishedNames | undefined;
  #work: Promise<void> = Promise.resolve();
  readonly #over = new AbortController();

  constructor(options: LoopbackPortsOptions) {
    this.#options = options;
    // Where nothing is ever opened, the names need not be gathered at every change.
    if (process.env.HYPR_LOOPBACK === '0') {
      return;
    }
    this.#unsubscribe = options.names.subscribe((names) => {
      this.#latest = names;
      this.#work = this.#work
        .then(() => this.#follow(names))
        .catch((error: unknown) => log.warn('loopback ports', { error: messageOf(error) }));
    });
    options.names.note();
  }

  /** What is open now, as `127.64.1.2:5432`. */
  get open(): string[] {
    return [...this.#open.keys()];
  }

  async close(): Promise<void> {
    this.#over.abort();
    this.#unsubscribe?.();
    await this.#work;
    await this.#closeAll();
  }

  async #follow(names: PublishedNames): Promise<void> {
    // Of several changes only the last is followed.
    if (this.#over.signal.aborted || names !== this.#latest) {
      return;
    }
    const first = await (this.#options.firstPort ?? firstUnprivilegedPort)();
    const wanted = names.names.some((name) => name.ports.length > 0) && (await this.#reachesPrograms()) ? wantedPorts(names, first) : [];
    this.#wanted.clear();
    for (const each of wanted) {
      this.#wanted.set(each.address, each);
    }
    await this.#closeOthers();
    const bound = new Set<string>();
    for (const each of wanted) {
      if (await this.#openAll(each)) {
        bound.add(each.owner);
      }
    }
    this.#options.names.noteBound(bound);
  }

  async #reachesPrograms(): Promise<boolean> {
    const known = this.#reaches;
    if (known !== undefined && (known.answer || Date.now() - known.at < TRY_AGAIN_MS)) {
      return known.answer;
    }
    const answer = await (this.#options.reachesPrograms ?? resolverAsksUs)(this.#over.signal);
    this.#reaches = { answer, at: Date.now() };
    return answer;
  }

  /** True when all could be opened: only then may DNS send programs there. */
  async #openAll({ address, ports, edge }: Wanted): Promise<boolean> {
    let isWhole = true;
    for (const port of [...ports, ...edge]) {
      const key = `${address}:${port}`;
      if (!this.#open.has(key) && !this.#over.signal.aborted) {
        try {
          this.#open.set(key, await this.#openOne(address, port));
        } catch (error) {
          isWhole = false;
          log.warn('a port of a name cannot be opened', { address, port, error: messageOf(error) });
        }
      }
    }
    return isWhole;
  }

  #openOne(address: string, port: number): Promise<Listener> {
    const dial = (_: string, __: number, signal?: AbortSignal): Promise<Socket> => this.#dial(address, port, signal);
    return publishTcp({ ports: [{ protocol: 'tcp', hostAddress: address, hostPort: port, address, port }], network: { dial } });
  }

  #dial(address: string, port: number, signal: AbortSignal | undefined): Promise<Socket> {
    const wanted = this.#wanted.get(address);
    if (wanted?.edge.has(port)) {
      return dialEdge(port, address, signal);
    }
    const targets = (wanted?.name.targets ?? []).filter(({ ports }) => ports.includes(port));
    const target = targets[Math.floor(Math.random() * targets.length)];
    return target === undefined
      ? Promise.reject(new HyprError('NAME_UNREACHABLE', `nothing listens on port ${port} of ${wanted?.owner ?? address} any more`))
      : openTunnel(target.socket, target.address, port, signal);
  }

  async #closeOthers(): Promise<void> {
    for (const [key, listener] of [...this.#open]) {
      const [address = '', port = ''] = key.split(':');
      const wanted = this.#wanted.get(address);
      if (!wanted?.ports.has(Number(port)) && !wanted?.edge.has(Number(port))) {
        this.#open.delete(key);
        await listener.close();
      }
    }
  }

  async #closeAll(): Promise<void> {
    this.#wanted.clear();
    await this.#closeOthers();
  }
}

/** One for each loopback address: the names of a service share one. */
const wantedPorts = ({ names }: PublishedNames, first: number): Wanted[] => {
  const byAddress = new Map<string, Wanted>();
  for (const name of names) {
    const listening = name.ports.map(({ port }) => port);
    if (listening.length > 0 && !byAddress.has(name.address)) {
      const ports = new Set(listening.filter((port) => port >= first));
      const unserved = name.webPort === undefined ? [] : EDGE_PORTS.filter((port) => !ports.has(port));
      const edge = new Set(unserved.filter((port) => port >= first));
      // A web server is asked for without a port. Where 80 and 443 cannot be opened for it, it stays with the edge's address, unless it
      // is a database or the like besides.
      const isOthers = name.ports.some(({ protocol }) => protocol === 'tcp');
      if ((edge.size === unserved.length || isOthers) && ports.size + edge.size > 0) {
        byAddress.set(name.address, { address: name.address, name, owner: name.owner, ports, edge });
      }
    }
  }
  return [...byAddress.values()];
};

/** From the service's own address, so that the edge does not take whoever it is for this user. */
const dialEdge = (port: number, localAddress: string, signal: AbortSignal | undefined): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: EDGE_ADDRESS, port, localAddress, allowHalfOpen: true, ...(signal ? { signal } : {}) });
    socket.once('connect', () => resolve(socket)).once('error', reject);
  });

/** Whether programs of this host find services by name: as HYPR_LOOPBACK says, else tried. */
export const resolverAsksUs = async (signal: AbortSignal): Promise<boolean> => {
  const { HYPR_LOOPBACK } = process.env;
  return HYPR_LOOPBACK === undefined || HYPR_LOOPBACK === '' ? systemKnowsNames(nameDomain(), signal) : HYPR_LOOPBACK !== '0';
};

/** User 0 may open every port; others those from here on. */
const firstUnprivilegedPort = async (): Promise<number> => {
  if (process.getuid?.() === 0) {
    return 1;
  }
  const text = await readFile('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8').catch(() => '');
  return Number.parseInt(text, 10) || 1024;
};
