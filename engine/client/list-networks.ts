import { createHash } from 'node:crypto';
import { sharedNetworkKey } from '../model/network-key.ts';
import type { NetworkDetail } from '../model/object-types.ts';
import { ipamOf } from '../resources/addresses.ts';
import { sharedNetworks } from '../resources/shared-networks.ts';
import type { LeaseRow, NetworkRow, SharedNetworkRow, VmRow } from '../state/records.ts';
import type { StateReader } from '../state/store.ts';

/** The networks of all stacks and the shared ones, by name, with who is on them. */
export const listNetworks = (state: StateReader): NetworkDetail[] => {
  const vms = new Map(state.vms().map((vm) => [vm.id, vm]));
  const own = state.networks().map((row) => networkDetail(row, state, members(state.leases(row.stack, row.key), vms)));
  const shared = sharedNetworks(state).map((row) => sharedDetail(row, members(state.leases('', sharedNetworkKey(row.name)), vms)));
  return [...own, ...shared].sort((a, b) => (a.name < b.name ? -1 : 1));
};

/** What docker compose writes on what it makes. */
export const composeLabels = (stack: string, kind: 'network' | 'volume', key: string): Record<string, string> => ({
  'com.docker.compose.project': stack,
  [`com.docker.compose.${kind}`]: key,
});

const members = (leases: readonly LeaseRow[], vms: ReadonlyMap<string, VmRow>): NetworkDetail['members'] =>
  leases.flatMap(({ vmId, ip, ip6, mac }) => {
    const vm = vms.get(vmId);
    return vm === undefined ? [] : [{ id: vm.id, name: vm.name, address: ip, ...(ip6 === undefined ? {} : { address6: ip6 }), mac }];
  });

const networkDetail = (row: NetworkRow, state: StateReader, users: NetworkDetail['members']): NetworkDetail => {
  const { stack, key, name, spec, createdAt } = row;
  const config = state.stack(stack)?.project.networks[key];
  const { v4, v6 } = ipamOf(config);
  return {
    id: createHash('sha256').update(`${stack}/${key}/${createdAt}`).digest('hex'),
    name,
    stack,
    ...addressesOf(row),
    ...(v4.ip_range ? { range: v4.ip_range } : {}),
    ...(v6.ip_range ? { range6: v6.ip_range } : {}),
    reserved: { ...v4.aux_addresses, ...v6.aux_addresses },
    options: Object.fromEntries(Object.entries(config?.driver_opts ?? {}).map(([option, value]) => [option, String(value)])),
    internal: spec.internal,
    labels: { ...config?.labels, ...composeLabels(stack, 'network', key) },
    createdAt,
    members: users,
  };
};

const sharedDetail = (row: SharedNetworkRow, users: NetworkDetail['members']): NetworkDetail => {
  const { id, name, spec, options, createdAt } = row;
  return {
    id,
    name,
    stack: '',
    ...addressesOf(row),
    ...(options.range === undefined ? {} : { range: options.range }),
    ...(options.range6 === undefined ? {} : { range6: options.range6 }),
    reserved: options.reserved,
    options: options.driver,
    internal: spec.internal,
    labels: options.labels,
    createdAt,
    members: users,
  };
};

const addressesOf = ({ spec }: Pick<NetworkRow, 'spec'>): Pick<NetworkDetail, 'subnet' | 'gateway' | 'subnet6' | 'gateway6'> => ({
  subnet: spec.subnet,
  gateway: spec.gateway,
  ...(spec.subnet6 === undefined ? {} : { subnet6: spec.subnet6 }),
  ...(spec.gateway6 === undefined ? {} : { gateway6: spec.gateway6 }),
});
