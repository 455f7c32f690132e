import type { Duplex } from 'node:stream';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { homePaths } from '../../base/paths.ts';
import { InsideEdge, type InsideMachine } from '../../net/edge/inside.ts';
import { DEFAULT_DOMAIN, nameDomain } from '../../net/names/directory.ts';
import type { StackName } from '../../net/names/stack-names.ts';
import type { EdgeConnection, Network } from '../../net/types.ts';
import { reachablePorts } from '../replica/parts/listeners.ts';
import type { Replica } from '../replica/replica.ts';
import type { StackNetworks } from '../resources/networks.ts';
import type { PublishedStackNames } from '../stack/names/stack-names.ts';
import type { VmRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import { leafIssuer } from './leaf-issuer.ts';

const log = logger('edge');

const HTTPS_PORT = 443;

export interface InsideHttpsOptions {
  readonly stack: string;
  readonly store: StateStore;
  readonly names: PublishedStackNames;
  readonly networks: StackNetworks;
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly liveRows: () => readonly VmRow[];
}

/** A machine on one network. */
interface Told {
  /** What the edge was told, to see that nothing has changed. */
  readonly text: string;
  readonly machine: InsideMachine;
}

/**
 * Answers `https://api.shop.hypr` between the machines of a stack's networks: port 443 of each web service that does not listen there itself
 * leads through this process, which speaks TLS with a certificate of the user's authority. Only while there is one, because no
 * machine trusts another.
 */
export class InsideHttps {
  readonly #options: InsideHttpsOptions;
  readonly #domain = nameDomain();
  readonly #issuer = leafIssuer(homePaths().authority, this.#domain);
  readonly #edge = new InsideEdge({ domain: this.#domain, issuer: this.#issuer });
  /** By network and address. */
  #machines = new Map<string, Told>();
  readonly #told = new WeakMap<Network, string>();
  readonly #unsubscribe: () => void;
  #work: Promise<void> = Promise.resolve();
  #isDue = false;

  constructor(options: InsideHttpsOptions) {
    this.#options = options;
    this.#unsubscribe = options.names.subscribe(() => this.#note());
    options.names.note();
  }

  /** Ends connections too: nobody is left to carry them. */
  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#work;
    this.#edge.close();
  }

  /** Of several changes that come while the gateways are told, one is followed. */
  #note(): void {
    if (!this.#isDue) {
      this.#isDue = true;
      this.#work = this.#work
        .then(() => {
          this.#isDue = false;
          return this.#follow();
        })
        .catch((error: unknown) => log.warn('https between services', { error: messageOf(error) }));
    }
  }

  async #follow(): Promise<void> {
    // Names inside end in the usual domain whatever the setting says, and the authority vouches for the setting's only.
    const isPossible = this.#domain === DEFAULT_DOMAIN && this.#issuer.version() !== undefined;
    const targets = isPossible ? this.#find() : new Map<string, Record<string, number>>();
    this.#edge.keepOnly(new Set([...this.#machines.values()].map(({ machine }) => machine)));
    for (const [key, starting] of this.#options.networks.running) {
      const network = await starting.catch(() => undefined);
      if (network !== undefined) {
        await this.#tell(key, network, targets.get(key) ?? {});
      }
    }
  }

  async #tell(key: string, network: Network, targets: Record<string, number>): Promise<void> {
    const text = JSON.stringify(targets);
    if (text === (this.#told.get(network) ?? '{}')) {
      return;
    }
    this.#told.set(network, text);
    try {
      await network.setEdges(targets, (connection) => this.#accept(key, connection));
    } catch (error) {
      this.#told.delete(network);
      // It may have ended; or it is one of an earlier version, which knows nothing of this.
      log.info('a network has no https between services', { key, error: messageOf(error) });
    }
  }

  #accept(key: string, { socket, from, to }: EdgeConnection): void {
    const told = this.#machines.get(`${key} ${to}`);
    if (told === undefined) {
      socket.destroy();
      return;
    }
    this.#edge.accept(socket, from, told.machine);
  }

  /** The machines that are answered for, by network: address → port. */
  #find(): Map<string, Record<string, number>> {
    const { stack, store, networks, names, liveRows } = this.#options;
    const targets = new Map<string, Record<string, number>>();
    const before = this.#machines;
    this.#machines = new Map();
    const rows = liveRows();
    const tables = networks.nameTables(rows);
    const all = names.names().names;
    for (const lease of store.leases(stack)) {
      const row = rows.find(({ id }) => id === lease.vmId);
      const web = row && webNameOf(all, row, this.#options.replicas.get(row.name));
      for (const address of web === undefined ? [] : [lease.ip, ...(lease.ip6 === undefined ? [] : [lease.ip6])]) {
        const table = tables(row?.spec as VmRow['spec']);
        const hosts = Object.keys(table).filter((name) => name.endsWith(`.${DEFAULT_DOMAIN}`) && table[name]?.includes(address));
        const key = `${lease.network} ${address}`;
        const made = this.#machine(web as WebName, lease.network, address, hosts);
        this.#machines.set(key, before.get(key)?.text === made.text ? (before.get(key) as Told) : made);
        targets.set(lease.network, { ...targets.get(lease.network), [address]: (web as WebName).port });
      }
    }
    return targets;
  }

  #machine({ name, port }: WebName, network: string, address: string, hosts: readonly string[]): Told {
    const { service, hostHeader } = name;
    const known = {
      stack: this.#options.stack,
      ...(service === undefined ? {} : { service }),
      ...(hostHeader === undefined ? {} : { hostHeader }),
      port,
    };
    const connect = async (signal: AbortSignal): Promise<Duplex> =>
      (await this.#options.networks.ensure(network, signal)).dial(address, port, signal);
    return { text: JSON.stringify([known, hosts]), machine: { ...known, hosts: new Set(hosts), connect } };
  }
}

interface WebName {
  readonly name: StackName;
  readonly port: number;
}

/** Of a machine that runs, has a port for browsers and leaves 443 free. A one-off has none: it is not a server. */
const webNameOf = (names: readonly StackName[], row: VmRow, replica: Replica | undefined): WebName | undefined => {
  const own = names.filter((name) => name.members.includes(row.name));
  const name = own.find(({ replica: of }) => of === row.name) ?? own[0];
  const ports = replica === undefined ? [] : reachablePorts(row.spec, replica.listeners);
  const port = name?.webPort;
  return name === undefined || port === undefined || row.state !== 'running' || !name.https || row.oneOff || !ports.includes(port)
    ? undefined
    : ports.includes(HTTPS_PORT)
      ? undefined
      : { name, port };
};
