import { HyprError } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import { matchesService, readPolicies, type ServicePolicy } from '../../compose/model/policies.ts';
import type { NicConfig } from '../../guest/types.ts';
import type { NetworkPolicy } from '../../net/types.ts';
import { egressPolicy } from '../resolve/egress-policy.ts';
import type { VmRow } from '../state/records.ts';
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

  constructor(options: PeerPoliciesOptions) {
    this.#options = options;
  }

  /** The rules of a replica's NICs, which is about to be connected with them. */
  connecting(vm: VmRow, nics: readonly NicConfig[]): Array<NetworkPolicy | undefined> {
    const policies = this.#policies();
    const peers = this.#peers();
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
    const { networks, vms } = this.#options;
    const policies = this.#policies();
    const peers = this.#peers();
    for (const vm of vms().filter(({ machine, state }) => machine !== undefined && state !== 'suspended')) {
      for (const [index, { mac }] of this.#nics(vm).entries()) {
        const network = vm.spec.networks[index]?.key ?? '';
        const rules = peerPolicy({ policies, peers, service: vm.service, network });
        const egress = egressPolicy(vm.spec);
        const text = JSON.stringify([rules, egress]);
        if (this.#told.get(mac) === text) {
          continue;
        }
        const gateway = await networks.ensure(network, signal);
        const told = { ...(rules === undefined ? {} : { peers: rules }), ...(egress === undefined ? {} : { egress }) };
        try {
          await gateway.setPolicy(mac, told);
        } catch (error) {
          // Its machine may have ended meanwhile; the next one is connected with its rules.
          if ((await gateway.state()).machines.some((machine) => machine.mac === mac)) {
            throw error;
          }
        }
        this.#told.set(mac, text);
      }
    }
  }

  /** The file was checked when it was loaded. */
  #policies(): readonly ServicePolicy[] {
    const project = this.#options.project();
    const settings = (project?.extensions['x-hypr'] ?? {}) as Readonly<Record<string, unknown>>;
    const read = readPolicies(settings.policies, Object.keys({ ...project?.services, ...project?.disabledServices }));
    if ('fault' in read) {
      const at = [`x-hypr.policies${read.index === undefined ? '' : `[${read.index}]`}`, read.key].filter(Boolean).join('.');
      throw new HyprError('COMPOSE_INVALID', `${at} ${read.fault}`, { path: ['x-hypr', 'policies'] });
    }
    return read;
  }

  #peers(): Peer[] {
    return this.#options.vms().flatMap((vm) =>
      this.#nics(vm).map((nic, index) => ({
        service: vm.service,
        network: vm.spec.networks[index]?.key ?? '',
        addresses: addressesOf(nic),
      })),
    );
  }

  /** Those of a replica that has its addresses already. */
  #nics(vm: VmRow): readonly NicConfig[] {
    const { stack, store, networks } = this.#options;
    return store.leases(stack).some(({ vmId }) => vmId === vm.id) ? networks.lease(vm) : [];
  }
}

const addressesOf = ({ address, ipv6 }: NicConfig): string[] => [address, ...(ipv6 === undefined ? [] : [ipv6.address])];

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
