import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { traced } from '../../base/trace/trace.ts';
import type { Project } from '../../compose/model/model.ts';
import type { NameTable, NicConfig, ResolverConfig } from '../../guest/types.ts';
import { hostAddress } from '../../net/addresses/ipam.ts';
import { searchDomains } from '../../net/names/name-table.ts';
import type { Network, NetworkEvent, NetworkRecord } from '../../net/types.ts';
import { sharedNetworkName } from '../model/network-key.ts';
import type { Platform } from '../model/platform.ts';
import type { ReplicaSpec } from '../model/spec.ts';
import type { NetworkRow, VmRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import { type AddressLimits, leaseAddresses, limitsOf, limitsOfShared } from './addresses.ts';
import { StackNames } from './network-names.ts';
import { newNetworkRow } from './network-row.ts';
import { findSharedNetwork, needSharedNetwork, openSharedNetwork } from './shared-networks.ts';

const log = logger('networks');

export interface StackNetworksOptions {
  readonly stack: string;
  readonly store: StateStore;
  readonly platform: Platform;
  /** Called when a running network is lost; without a detail, when it was removed. */
  readonly onLost: (key: string, detail: string | undefined) => void;
  /** What a gateway refused or limited. */
  readonly onEvent: (event: NetworkEvent) => void;
  /** The names of other stacks on a shared network have changed, or this stack's have to be told there. */
  readonly onNames: () => void;
}

/**
 * The networks of one stack: rows, processes, leases and names. A network of its own runs from its first user to `remove`. A shared one
 * (`external: true`, the default network) runs as long as somebody is connected to it, and is only let go here.
 */
export class StackNetworks {
  readonly #options: StackNetworksOptions;
  readonly #names: StackNames;
  readonly #running = new Map<string, Promise<Network>>();
  #creating: Promise<void> = Promise.resolve();

  constructor(options: StackNetworksOptions) {
    this.#options = options;
    this.#names = new StackNames(options);
  }

  /** Records a network and reserves its subnet; starts nothing. Calls are serialized, so that two cannot choose the same subnet. */
  create(project: Project, key: string): Promise<void> {
    const mine = this.#creating.then(() => this.#create(project, key));
    this.#creating = mine.catch(() => {});
    return mine;
  }

  async #create(project: Project, key: string): Promise<void> {
    this.#options.store.putNetwork(await newNetworkRow(project, key, this.#options));
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

  /** Those that run or start, by key. */
  get running(): ReadonlyMap<string, Promise<Network>> {
    return this.#running;
  }

  /** Takes over the network of an earlier supervisor; false if its process is gone. */
  async adopt(key: string, signal: AbortSignal): Promise<boolean> {
    const { platform } = this.#options;
    const { record } = this.#row(key);
    const network = record && (await platform.adoptNetwork(record, signal));
    if (network !== undefined) {
      this.#watch(key, network);
      this.#running.set(key, Promise.resolve(network));
      return true;
    }
    await this.#gone(key, record);
    return false;
  }

  async #start(key: string, signal: AbortSignal): Promise<Network> {
    const { store, platform, stack } = this.#options;
    await mkdir(join(platform.paths.logs, stack), { recursive: true, mode: 0o700 });
    const shared = sharedNetworkName(key);
    const network = await traced('gvproxy', `network ${key}`, () =>
      shared === undefined
        ? platform.startNetwork(this.#stackRow(key).spec, signal)
        : openSharedNetwork(shared, { store, platform }, signal),
    );
    if (shared === undefined) {
      store.putNetwork({ ...this.#stackRow(key), record: network.record });
    }
    this.#watch(key, network);
    return network;
  }

  #watch(key: string, network: Network): void {
    network.onEvent((event) => this.#onEvent(key, event));
    this.#names.begin(key, network);
    void network.exited.then(async ({ detail }) => {
      const current = this.#running.get(key);
      if (current !== undefined && (await current.catch(() => undefined)) === network) {
        this.#running.delete(key);
        this.#names.end(key);
        log.warn('network lost', { key, detail });
        await this.#gone(key, network.record);
        this.#options.onLost(key, this.#exists(key) ? detail : undefined);
      }
    });
  }

  /** Events of a shared network come from the machines of all stacks; names from all of them. */
  #onEvent(key: string, event: NetworkEvent): void {
    const { store, stack } = this.#options;
    if (event.event === 'names') {
      this.#names.learn(key, event.owners ?? {});
      this.#options.onNames();
    } else if (sharedNetworkName(key) === undefined || store.leases(stack).some(({ mac }) => mac === event.mac)) {
      this.#options.onEvent(event);
    }
  }

  /** What is left of a gateway that has ended; a shared one's is removed by who starts it next. */
  async #gone(key: string, record: NetworkRecord | undefined): Promise<void> {
    const { store, stack, platform } = this.#options;
    const row = store.networks(stack).find((candidate) => candidate.key === key);
    if (row !== undefined && record !== undefined) {
      await platform.sweepNetwork(record);
      store.putNetwork({ ...row, record: undefined });
    }
  }

  /** False for a shared network that was removed while it was in use. */
  #exists(key: string): boolean {
    const name = sharedNetworkName(key);
    return name === undefined || findSharedNetwork(this.#options.store, name) !== undefined;
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
    store.removeLeases(stack, key);
    store.removeNetwork(stack, key);
  }

  /** Stops the network processes and keeps the rows: a stopped stack runs nothing. Shared ones are left to others. */
  async stopAll(): Promise<void> {
    const { store, stack, platform } = this.#options;
    for (const [key, running] of this.#running) {
      if (sharedNetworkName(key) !== undefined) {
        this.#running.delete(key);
        this.#names.end(key);
        (await running.catch(() => undefined))?.release();
      }
    }
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
    return leaseAddresses(vm, { ...this.#options, row: (key) => this.#row(key), limits: (key) => this.#limits(key) });
  }

  /** `ip_range` and `aux_addresses` of the file, or of the shared network. */
  #limits(key: string): AddressLimits {
    const shared = sharedNetworkName(key);
    return shared === undefined
      ? limitsOf(this.#options.store.stack(this.#options.stack)?.project.networks[key])
      : limitsOfShared(needSharedNetwork(this.#options.store, shared).options);
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
      search: [...spec.dnsSearch, ...searchDomains(this.#options.stack)],
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
    return this.#names.tables(vms);
  }

  /** Tells the shared networks of this stack's names, where they have changed. */
  publishNames(vms: readonly VmRow[]): void {
    this.#names.publish(vms);
  }

  /** The network that published ports of a replica go through: its first one. */
  async publishingNetwork(spec: ReplicaSpec, signal: AbortSignal): Promise<{ key: string; network: Network } | undefined> {
    const key = (spec.networks.find((attachment) => attachment.isDefault) ?? spec.networks[0])?.key;
    return key === undefined ? undefined : { key, network: await this.ensure(key, signal) };
  }

  #row(key: string): Pick<NetworkRow, 'name' | 'spec' | 'record'> {
    const shared = sharedNetworkName(key);
    return shared === undefined ? this.#stackRow(key) : needSharedNetwork(this.#options.store, shared);
  }

  #stackRow(key: string): NetworkRow {
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
