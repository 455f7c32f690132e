import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { shortHash } from '../../base/paths.ts';
import { traced } from '../../base/trace.ts';
import type { Project } from '../../compose/model/model.ts';
import type { NameTable, NicConfig, ResolverConfig } from '../../guest/types.ts';
import { allocateAddress, chooseSubnet, hostAddress, macAddress, prefixLength } from '../../net/addresses/ipam.ts';
import { NETWORK_MTU } from '../../net/defaults.ts';
import { buildNameTable, type NamedReplica } from '../../net/names/name-table.ts';
import type { Network, NetworkEvent, NetworkSpec } from '../../net/types.ts';
import type { Platform } from '../model/platform.ts';
import type { ReplicaSpec } from '../model/spec.ts';
import { asksForHost, networkHash } from '../resolve/network-needs.ts';
import type { NetworkRow, VmRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';

const log = logger('networks');

export interface StackNetworksOptions {
  readonly stack: string;
  readonly store: StateStore;
  readonly platform: Platform;
  /** Called when a running network is lost. */
  readonly onLost: (key: string, detail: string) => void;
  /** What a gateway refused or limited. */
  readonly onEvent: (event: NetworkEvent) => void;
}

/** The networks of one stack: rows, processes, leases and names. A network runs from its first user to `remove`. */
export class StackNetworks {
  readonly #options: StackNetworksOptions;
  readonly #running = new Map<string, Promise<Network>>();
  #creating: Promise<void> = Promise.resolve();

  constructor(options: StackNetworksOptions) {
    this.#options = options;
  }

  /** Records a network and reserves its subnet; starts nothing. Calls are serialized, so that two cannot choose the same subnet. */
  create(project: Project, key: string): Promise<void> {
    const mine = this.#creating.then(() => this.#create(project, key));
    this.#creating = mine.catch(() => {});
    return mine;
  }

  async #create(project: Project, key: string): Promise<void> {
    const { stack, store, platform } = this.#options;
    const config = project.networks[key];
    if (config === undefined) {
      throw new HyprError('HYPR_INTERNAL', `network ${key} is not in the model`);
    }
    if (config.external === true) {
      throw new HyprError('EXTERNAL_NOT_FOUND', `network ${config.name} declared as external, but could not be found`, {
        hint: 'networks are private to a stack: drop `external: true` so that this stack makes its own',
      });
    }
    const ipam = config.ipam?.config?.[0];
    const taken = store.networks(stack).map((row) => row.spec.subnet);
    const { subnet, gateway } = await chooseSubnet({ wanted: ipam?.subnet, gateway: ipam?.gateway, taken });
    const runDir = join(platform.runDir, `n-${shortHash(key, 6)}`);
    const spec: NetworkSpec = {
      name: config.name,
      runDir,
      log: join(platform.paths.logs, stack, `network-${key}.log`),
      subnet,
      gateway,
      internal: config.internal ?? false,
      mtu: NETWORK_MTU,
      hostAccess: asksForHost(project, key) && config.internal !== true,
    };
    store.putNetwork({
      stack,
      key,
      name: config.name,
      spec,
      configHash: networkHash(project, key),
      record: undefined,
      createdAt: Date.now(),
    });
  }

  /** The running network, started if necessary; callers share one start. */
  ensure(key: string, signal: AbortSignal): Promise<Network> {
    const known = this.#running.get(key);
    if (known !== undefined) {
      return abortable(known, signal);
    }
    // Not the first caller's signal: others may wait for the same start.
    const starting = this.#start(key, AbortSignal.timeout(START_DEADLINE_MS));
    this.#running.set(key, starting);
    starting.catch(() => {
      if (this.#running.get(key) === starting) {
        this.#running.delete(key);
      }
    });
    return abortable(starting, signal);
  }

  /** Takes over the network of an earlier supervisor; false if its process is gone. */
  async adopt(row: NetworkRow, signal: AbortSignal): Promise<boolean> {
    if (row.record === undefined) {
      return false;
    }
    const network = await this.#options.platform.adoptNetwork(row.record, signal);
    if (network === undefined) {
      await this.#options.platform.sweepNetwork(row.record);
      this.#options.store.putNetwork({ ...row, record: undefined });
      return false;
    }
    this.#watch(row.key, network);
    this.#running.set(row.key, Promise.resolve(network));
    return true;
  }

  async #start(key: string, signal: AbortSignal): Promise<Network> {
    const row = this.#row(key);
    await mkdir(join(this.#options.platform.paths.logs, this.#options.stack), { recursive: true, mode: 0o700 });
    const network = await traced('gvproxy', `network ${key}`, () => this.#options.platform.startNetwork(row.spec, signal));
    this.#options.store.putNetwork({ ...row, record: network.record });
    this.#watch(key, network);
    return network;
  }

  #watch(key: string, network: Network): void {
    network.onEvent(this.#options.onEvent);
    void network.exited.then(async ({ detail }) => {
      const current = this.#running.get(key);
      if (current !== undefined && (await current.catch(() => undefined)) === network) {
        this.#running.delete(key);
        log.warn('network lost', { key, detail });
        const row = this.#options.store.networks(this.#options.stack).find((candidate) => candidate.key === key);
        if (row?.record !== undefined) {
          await this.#options.platform.sweepNetwork(row.record);
          this.#options.store.putNetwork({ ...row, record: undefined });
        }
        this.#options.onLost(key, detail);
      }
    });
  }

  async remove(key: string): Promise<void> {
    const { store, stack, platform } = this.#options;
    const running = this.#running.get(key);
    this.#running.delete(key);
    const network = await running?.catch(() => undefined);
    await network?.stop();
    const row = store.networks(stack).find((candidate) => candidate.key === key);
    if (row?.record !== undefined) {
      await platform.sweepNetwork(row.record);
    }
    store.removeNetwork(stack, key);
  }

  /** Stops the network processes and keeps the rows: a stopped stack runs nothing. */
  async stopAll(): Promise<void> {
    const { store, stack, platform } = this.#options;
    for (const row of store.networks(stack)) {
      const running = this.#running.get(row.key);
      this.#running.delete(row.key);
      await (await running?.catch(() => undefined))?.stop();
      if (row.record !== undefined) {
        await platform.sweepNetwork(row.record);
        store.putNetwork({ ...row, record: undefined });
      }
    }
  }

  release(): void {
    for (const running of this.#running.values()) {
      void running.then((network) => network.release()).catch(() => {});
    }
  }

  /** Reserves the addresses of a replica (the same ones again after a restart). */
  lease(vm: VmRow): NicConfig[] {
    const { store, stack } = this.#options;
    return store.transaction(() =>
      vm.spec.networks.map((attachment) => {
        const row = this.#row(attachment.key);
        const leases = store.leases(stack, attachment.key);
        const mine = leases.find((lease) => lease.vmId === vm.id);
        const address =
          mine?.ip ??
          allocateAddress({
            ...this.#limits(attachment.key),
            subnet: row.spec.subnet,
            gateway: row.spec.gateway,
            taken: leases.map((lease) => lease.ip),
            wanted: attachment.address,
            hostAccess: row.spec.hostAccess,
          });
        const mac = mine?.mac ?? attachment.mac ?? macAddress(`${stack}/${vm.name}/${attachment.key}`);
        store.putLease({ stack, network: attachment.key, ip: address, vmId: vm.id, mac, leasedAt: mine?.leasedAt ?? Date.now() });
        return {
          mac,
          name: attachment.interfaceName,
          address,
          prefix: prefixLength(row.spec.subnet),
          ...(attachment.isDefault && !row.spec.internal ? { gateway: row.spec.gateway } : {}),
          mtu: NETWORK_MTU,
        };
      }),
    );
  }

  /** `ip_range` and `aux_addresses` of the file. */
  #limits(key: string): { range?: string; reserved?: string[] } {
    const config = this.#options.store.stack(this.#options.stack)?.project.networks[key]?.ipam?.config?.[0];
    return { ...(config?.ip_range ? { range: config.ip_range } : {}), reserved: Object.values(config?.aux_addresses ?? {}) };
  }

  /** The lines of `extra_hosts`, with `host-gateway` replaced by the address of this host in the network. Throws HYPR_UNSUPPORTED. */
  extraHosts(spec: ReplicaSpec): ReplicaSpec['extraHosts'] {
    return spec.extraHosts.map((line) => (line.address === HOST_GATEWAY ? { ...line, address: this.#hostOf(spec) } : line));
  }

  #hostOf(spec: ReplicaSpec): string {
    const key = spec.networks.find((attachment) => attachment.isDefault)?.key;
    const row = key === undefined ? undefined : this.#row(key);
    if (row?.spec.hostAccess !== true) {
      const why = row === undefined ? 'it has no network' : `network ${row.name} has no way out`;
      throw new HyprError('HYPR_UNSUPPORTED', `service ${spec.service}: host-gateway is not available: ${why}`);
    }
    return hostAddress(row.spec);
  }

  /** The configuration of a replica's stub resolver: it answers the names on its networks and asks the gateways for others. */
  resolver(spec: ReplicaSpec, vms: readonly VmRow[]): ResolverConfig {
    const rows = spec.networks.map((attachment) => this.#row(attachment.key));
    const open = rows.filter((row) => !row.spec.internal);
    const upstreams = spec.dns.length > 0 ? spec.dns : open.map((row) => row.spec.gateway);
    return {
      names: this.names(spec, vms),
      search: [...spec.dnsSearch, `${this.#options.stack}.hypr`],
      upstreams,
      options: spec.dnsOptions,
    };
  }

  /** Names that a replica sees: those of its own networks, all replicas of each. */
  names(spec: ReplicaSpec, vms: readonly VmRow[]): NameTable {
    return this.nameTables(vms)(spec);
  }

  /** The same for many replicas: those on the same networks with the same links share one table. */
  nameTables(vms: readonly VmRow[]): (spec: ReplicaSpec) => NameTable {
    const replicas = this.#named(vms);
    const tables = new Map<string, NameTable>();
    return (spec) => {
      const { links } = spec;
      const networks = spec.networks.map((attachment) => attachment.key);
      const kind = JSON.stringify([networks, links]);
      const table = tables.get(kind) ?? buildNameTable({ project: this.#options.stack, networks, replicas, ...(links ? { links } : {}) });
      tables.set(kind, table);
      return table;
    };
  }

  #named(vms: readonly VmRow[]): NamedReplica[] {
    const leases = new Map(this.#options.store.leases(this.#options.stack).map((row) => [`${row.vmId} ${row.network}`, row.ip]));
    return vms.flatMap((vm) =>
      vm.spec.networks.flatMap(({ key, aliases }) => {
        const address = leases.get(`${vm.id} ${key}`);
        const { service, name, oneOff } = vm;
        return address === undefined ? [] : [{ network: key, address, service, name, hostname: vm.spec.hostname, aliases, oneOff }];
      }),
    );
  }

  /** The network that published ports of a replica go through: its first one. */
  async publishingNetwork(spec: ReplicaSpec, signal: AbortSignal): Promise<{ key: string; network: Network } | undefined> {
    const key = (spec.networks.find((attachment) => attachment.isDefault) ?? spec.networks[0])?.key;
    return key === undefined ? undefined : { key, network: await this.ensure(key, signal) };
  }

  #row(key: string): NetworkRow {
    const row = this.#options.store.networks(this.#options.stack).find((candidate) => candidate.key === key);
    if (row === undefined) {
      throw new HyprError('HYPR_INTERNAL', `network ${key} of ${this.#options.stack} is not recorded`);
    }
    return row;
  }
}

const START_DEADLINE_MS = 60_000;

/** The work goes on when the signal aborts; only the wait for it ends. */
const abortable = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  withDeadline({ ms: 2 * START_DEADLINE_MS, what: 'the network', signal }, () => work);

/** Stands for this host in `extra_hosts`. */
const HOST_GATEWAY = 'host-gateway';
