import { HyprError } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import { matchesService, readPolicies, type ServicePolicy } from '../../compose/model/policies.ts';
import type { NicConfig } from '../../guest/types.ts';
import type { Network, NetworkPolicy } from '../../net/types.ts';
import { egressPolicy } from '../resolve/egress-policy.ts';
import type { LeaseRow, VmRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import type { StackNetworks } from './networks.ts';

export interface PeerPoliciesOptions {
  readonly stack: string;
  readonly store: StateStore;
  readonly networks: StackNetworks;
  readonly project: () => Project | undefined;
  readonly vms: () => readonly VmRow[];
}

/** A machine's NIC on one network, with its service. */
interface Peer {
  readonly service: string;
  readonly network: string;
  readonly addresses: readonly string[];
}

/**
 * The rules of `x-hypr.policies`, in the form of the gateways: for each NIC, which addresses of other machines it may connect to. They change
 * with the file and with every address that a replica gets, so the gateways are told again before a new machine can be reached.
 */
export class PeerPolicies {
  readonly #options: PeerPoliciesOptions;
  /** What the gateways were told, by MAC, as JSON. */
  readonly #told = new Map<string, string>();
  #turn: Promise<void> = Promise.resolve();
  /** Those of the model that was read last. */
  #read: { readonly project: Project | undefined; readonly policies: readonly ServicePolicy[] } | undefined;

  constructor(options: PeerPoliciesOptions) {
    this.#options = options;
  }

  /** The rules of a replica's NICs, which is about to be connected with them. */
  connecting(vm: VmRow, nics: readonly NicConfig[]): Array<NetworkPolicy | undefined> {
    const policies = this.#policies();
    const peers = peersOf(this.#options.vms(), this.#leases());
    return vm.spec.networks.map(({ key }, index) => {
      const rules = peerPolicy({ policies, peers, service: vm.service, network: key });
      this.#told.set(nics[index]?.mac ?? '', JSON.stringify([rules, egressPolicy(vm.spec)]));
      return rules;
    });
  }

  /** Tells every running machine's gateway what has changed; one call after the other. */
  apply(signal: AbortSignal): Promise<void> {
    const mine = this.#turn.then(() => this.#apply(signal));
    this.#turn = mine.catch(() => {});
    return mine;
  }

  async #apply(signal: AbortSignal): Promise<void> {
    const { vms } = this.#options;
    const policies = this.#policies();
    const leases = this.#leases();
    const peers = peersOf(vms(), leases);
    for (const vm of vms().filter(({ machine, state }) => machine !== undefined && state !== 'suspended')) {
      const egress = egressPolicy(vm.spec);
      for (const { key: network } of vm.spec.networks) {
        const mac = leases(vm, network)?.mac;
        const rules = peerPolicy({ policies, peers, service: vm.service, network });
        const text = JSON.stringify([rules, egress]);
        if (mac !== undefined && this.#told.get(mac) !== text) {
          const told = { ...(rules === undefined ? {} : { peers: rules }), ...(egress === undefined ? {} : { egress }) };
          await this.#tell({ network, mac, told }, signal);
          this.#told.set(mac, text);
        }
      }
    }
  }

  async #tell({ network, mac, told }: { network: string; mac: string; told: GatewayPolicy }, signal: AbortSignal): Promise<void> {
    const gateway = await this.#options.networks.ensure(network, signal);
    try {
      await gateway.setPolicy(mac, told);
    } catch (error) {
      // Its machine may have ended meanwhile; the next one is connected with its rules.
      if ((await gateway.state()).machines.some((machine) => machine.mac === mac)) {
        throw error;
      }
    }
  }

  /** The file was checked when it was loaded. */
  #policies(): readonly ServicePolicy[] {
    const project = this.#options.project();
    if (this.#read === undefined || this.#read.project !== project) {
      this.#read = { project, policies: policiesOf(project) };
    }
    return this.#read.policies;
  }

  /** The lease of a replica on a network, a shared one too; read once for all of them. */
  #leases(): FindLease {
    const { stack, store } = this.#options;
    const leases = new Map(store.leases(stack).map((lease) => [`${lease.vmId} ${lease.network}`, lease]));
    return (vm, network) => leases.get(`${vm.id} ${network}`);
  }
}

type FindLease = (vm: VmRow, network: string) => LeaseRow | undefined;
type GatewayPolicy = Parameters<Network['setPolicy']>[1];

const policiesOf = (project: Project | undefined): readonly ServicePolicy[] => {
  const settings = (project?.extensions['x-hypr'] ?? {}) as Readonly<Record<string, unknown>>;
  const read = readPolicies(settings.policies, Object.keys({ ...project?.services, ...project?.disabledServices }));
  if ('fault' in read) {
    const at = [`x-hypr.policies${read.index === undefined ? '' : `[${read.index}]`}`, read.key].filter(Boolean).join('.');
    throw new HyprError('COMPOSE_INVALID', `${at} ${read.fault}`, { path: ['x-hypr', 'policies'] });
  }
  return read;
};

/** The NICs that have their addresses already. */
const peersOf = (vms: readonly VmRow[], leases: FindLease): Peer[] =>
  vms.flatMap((vm) =>
    vm.spec.networks.flatMap(({ key: network }) => {
      const lease = leases(vm, network);
      return lease === undefined
        ? []
        : [{ service: vm.service, network, addresses: [lease.ip, ...(lease.ip6 === undefined ? [] : [lease.ip6])] }];
    }),
  );

/** The rules of a NIC of `service` on `network`; undefined where the file has no policies. Pure. */
export const peerPolicy = (input: {
  readonly policies: readonly ServicePolicy[];
  readonly peers: readonly Peer[];
  readonly service: string;
  readonly network: string;
}): NetworkPolicy | undefined => {
  const { policies, peers, service, network } = input;
  if (policies.length === 0) {
    return undefined;
  }
  const rules = policies
    .filter(({ from }) => matchesService(from, service))
    .flatMap(({ to, action, protocol, ports }) => {
      const meant = peers.filter((peer) => peer.network === network && matchesService(to, peer.service));
      const addresses = [...new Set(meant.flatMap((peer) => peer.addresses))].sort();
      // No machine of theirs is there yet; a rule without addresses would be about all.
      return addresses.length === 0
        ? []
        : [{ action, to: addresses, ...(protocol === undefined ? {} : { protocol }), ...(ports === undefined ? {} : { ports }) }];
    });
  // Also a service without rules gets a list: only then the gateway notes what it asks, and lets answers to datagrams through.
  return { default: 'allow', rules };
};
