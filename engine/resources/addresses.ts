import { HyprError } from '../../base/errors.ts';
import type { NetworkConfig } from '../../compose/model/model.ts';
import type { NicConfig } from '../../guest/types.ts';
import { refuseHostBits } from '../../net/addresses/host-bits.ts';
import { allocateAddress, chooseSubnet, macAddress, prefixLength } from '../../net/addresses/ipam.ts';
import { allocateAddress6, chooseSubnet6 } from '../../net/addresses/ipam6.ts';
import { overlaps, parseSubnet } from '../../net/addresses/ipv4.ts';
import { NETWORK_MTU } from '../../net/defaults.ts';
import type { NetworkSpec } from '../../net/types.ts';
import { sharedNetworkName, shownNetwork } from '../model/network-key.ts';
import type { ReplicaNetwork } from '../model/spec.ts';
import type { LeaseRow, NetworkRow, SharedNetworkOptions, VmRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';

type IpamConfig = NonNullable<NonNullable<NetworkConfig['ipam']>['config']>[number];

/** What a network may give to machines: only from a range, and never what is reserved. */
export interface AddressLimits {
  readonly range?: string;
  readonly range6?: string;
  /** Of IPv4 and IPv6. */
  readonly reserved: readonly string[];
}

/** The entries of `ipam.config` for IPv4 and IPv6. */
export const ipamOf = (config: Pick<NetworkConfig, 'ipam'> | undefined): { v4: IpamConfig; v6: IpamConfig } => {
  const entries = config?.ipam?.config ?? [];
  const isV6 = (entry: IpamConfig): boolean => [entry.subnet, entry.gateway, entry.ip_range].some((text) => text?.includes(':') === true);
  return { v4: entries.find((entry) => !isV6(entry)) ?? {}, v6: entries.find(isV6) ?? {} };
};

/** Throws NET_ADDRESS for a subnet or range that is an address within it. */
export const refuseHostBitsOf = (config: Pick<NetworkConfig, 'ipam'>): void => {
  for (const { subnet, ip_range: range } of Object.values(ipamOf(config))) {
    refuseHostBits('subnet', subnet);
    refuseHostBits('ip-range', range);
  }
};

export const limitsOf = (config: Pick<NetworkConfig, 'ipam'> | undefined): AddressLimits => {
  const { v4, v6 } = ipamOf(config);
  return {
    ...(v4.ip_range ? { range: v4.ip_range } : {}),
    ...(v6.ip_range ? { range6: v6.ip_range } : {}),
    reserved: [v4, v6].flatMap((entry) => Object.values(entry.aux_addresses ?? {})),
  };
};

/** Throws NET_ADDRESS for a reserved address (`aux_addresses`) that the network does not have, or has already. */
export const checkReserved = (
  { reserved }: Pick<AddressLimits, 'reserved'>,
  { subnet, gateway, subnet6, gateway6 }: Pick<NetworkSpec, 'subnet' | 'gateway' | 'subnet6' | 'gateway6'>,
): void => {
  for (const wanted of reserved) {
    if (subnet6 !== undefined && gateway6 !== undefined && wanted.includes(':')) {
      allocateAddress6({ subnet6, gateway6, address: '0.0.0.0', subnet: '0.0.0.0/0', taken: [], wanted });
    } else {
      allocateAddress({ subnet, gateway, taken: [], wanted });
    }
  }
};

/** The same of a shared network. */
export const limitsOfShared = ({ range, range6, reserved }: SharedNetworkOptions): AddressLimits => ({
  ...(range === undefined ? {} : { range }),
  ...(range6 === undefined ? {} : { range6 }),
  reserved: Object.values(reserved),
});

const MTU_OPTION = 'com.docker.network.driver.mtu';

export const networkMtu = ({ driver_opts: options }: Pick<NetworkConfig, 'driver_opts'>): number => {
  const wanted = options?.[MTU_OPTION];
  return wanted === undefined ? NETWORK_MTU : Number(wanted);
};

/** Chooses the subnets of a new network beside those of `rows`. Throws NET_ADDRESS, NET_EXHAUSTED. */
export const chooseSubnets = async (
  config: Pick<NetworkConfig, 'ipam' | 'enable_ipv6'>,
  { rows, seed }: { readonly rows: ReadonlyArray<{ readonly spec: NetworkSpec }>; readonly seed: string },
): Promise<Pick<NetworkSpec, 'subnet' | 'gateway' | 'subnet6' | 'gateway6'>> => {
  const { v4, v6 } = ipamOf(config);
  const chosen = await chooseSubnet({ wanted: v4.subnet, gateway: v4.gateway, taken: rows.map(({ spec }) => spec.subnet) });
  if (config.enable_ipv6 !== true) {
    return chosen;
  }
  const taken = rows.flatMap(({ spec }) => spec.subnet6 ?? []);
  return { ...chosen, ...chooseSubnet6({ wanted: v6.subnet, gateway: v6.gateway, taken, seed }) };
};

interface LeasePlace {
  readonly stack: string;
  readonly store: StateStore;
  readonly row: (key: string) => Pick<NetworkRow, 'name' | 'spec'>;
  readonly limits: (key: string) => AddressLimits;
}

/**
 * Reserves the addresses of a replica on all its networks, or finds those that it has. In one transaction, so that no two processes give
 * out the same one. Throws NET_ADDRESS, NET_EXHAUSTED.
 */
export const leaseAddresses = (vm: VmRow, place: LeasePlace): NicConfig[] =>
  place.store.transaction(() => {
    refuseOverlap(vm, place);
    return vm.spec.networks.map((attachment) => nicOf(leaseOne(vm, attachment, place), attachment, place.row(attachment.key).spec));
  });

/** Leases on a shared network are those of all stacks. */
const leaseOwner = (key: string, stack: string): string => (sharedNetworkName(key) === undefined ? stack : '');

const leaseOne = (vm: VmRow, attachment: ReplicaNetwork, { stack, store, row, limits }: LeasePlace): LeaseRow => {
  const { key } = attachment;
  const { spec, name } = row(key);
  const owner = leaseOwner(key, stack);
  const leases = store.leases(owner, key);
  const mine = leases.find((lease) => lease.vmId === vm.id);
  const others = leases.filter((lease) => lease !== mine);
  const mac = mine?.mac ?? attachment.mac ?? macAddress(`${stack}/${vm.name}/${key}`);
  const twin = others.find((lease) => lease.mac.toLowerCase() === mac.toLowerCase());
  if (twin !== undefined) {
    throw new HyprError('NET_ADDRESS', `the MAC address ${mac} of ${vm.name} is in use on network ${name} already`, {
      hint: 'a service with mac_address can have one replica only',
    });
  }
  const ip =
    mine?.ip ??
    allocateAddress({
      ...limits(key),
      subnet: spec.subnet,
      gateway: spec.gateway,
      taken: others.map((lease) => lease.ip),
      wanted: attachment.address,
      hostAccess: spec.hostAccess,
    });
  const ip6 = mine?.ip6 ?? addressOf6(attachment, { spec, ip, others, limits: limits(key) });
  const lease = { stack: owner, network: key, ip, ip6, vmId: vm.id, mac, leasedAt: mine?.leasedAt ?? Date.now() };
  store.putLease(lease);
  return lease;
};

const addressOf6 = (
  attachment: ReplicaNetwork,
  { spec, ip, others, limits }: { spec: NetworkSpec; ip: string; others: readonly LeaseRow[]; limits: AddressLimits },
): string | undefined =>
  spec.subnet6 === undefined || spec.gateway6 === undefined
    ? undefined
    : allocateAddress6({
        ...limits,
        subnet6: spec.subnet6,
        gateway6: spec.gateway6,
        address: ip,
        subnet: spec.subnet,
        taken: others.flatMap((lease) => lease.ip6 ?? []),
        wanted: attachment.address6,
      });

const nicOf = ({ mac, ip, ip6 }: LeaseRow, attachment: ReplicaNetwork, spec: NetworkSpec): NicConfig => {
  const routed = attachment.isDefault && !spec.internal;
  return {
    mac,
    name: attachment.interfaceName,
    address: ip,
    prefix: prefixLength(spec.subnet),
    ...(routed ? { gateway: spec.gateway } : {}),
    ...(ip6 === undefined || spec.subnet6 === undefined
      ? {}
      : {
          ipv6: {
            address: ip6,
            prefix: Number(spec.subnet6.split('/')[1]),
            ...(routed && spec.gateway6 !== undefined ? { gateway: spec.gateway6 } : {}),
          },
        }),
    mtu: spec.mtu,
  };
};

/** A machine cannot tell two networks with the same addresses apart. */
const refuseOverlap = (vm: VmRow, { row }: LeasePlace): void => {
  const networks = vm.spec.networks.map(({ key }) => ({ key, subnet: parseSubnet(row(key).spec.subnet) }));
  for (const [index, one] of networks.entries()) {
    const other = networks.slice(0, index).find(({ subnet }) => subnet && one.subnet && overlaps(subnet, one.subnet));
    if (other !== undefined) {
      throw new HyprError(
        'NET_ADDRESS',
        `${vm.name} cannot be on both ${shownNetwork(other.key)} and ${shownNetwork(one.key)}: their subnets overlap`,
        { hint: 'give one of them another subnet (ipam.config.subnet, or hypr network create --subnet)' },
      );
    }
  }
};
