import { HyprError } from '../../base/errors.ts';
import { networkNotFound, sharedNetworkKey } from '../model/network-key.ts';
import type { NetworkAttachment } from '../model/object-types.ts';
import type { ReplicaNetwork } from '../model/spec.ts';
import type { VmRow } from '../state/records.ts';
import type { StateReader } from '../state/store.ts';
import { findSharedNetwork } from './shared-networks.ts';

/** The key of a network by its name: a shared one, or one of the replica's own stack. Throws NOT_FOUND, HYPR_UNSUPPORTED. */
export const networkKeyOf = (store: StateReader, name: string, { stack }: Pick<VmRow, 'stack'>): string => {
  if (findSharedNetwork(store, name) !== undefined) {
    return sharedNetworkKey(name);
  }
  const row = store.networks().find((network) => network.name === name);
  if (row === undefined) {
    throw networkNotFound(name);
  }
  if (row.stack !== stack) {
    throw new HyprError('HYPR_UNSUPPORTED', `network ${name} is private to the stack ${row.stack}`, {
      hint: 'make one that both can use: hypr network create',
    });
  }
  return row.key;
};

/** A replica with one more network, the last. Throws COMPOSE_INVALID where it is on it already, HYPR_UNSUPPORTED for an isolated one. Pure. */
export const withNetwork = (vm: VmRow, { key, name }: { key: string; name: string }, wanted: NetworkAttachment): VmRow => {
  const { networks } = vm.spec;
  if (networks.some((network) => network.key === key)) {
    throw new HyprError('COMPOSE_INVALID', `endpoint with name ${vm.name} already exists in network ${name}`);
  }
  if (vm.spec.isolated !== undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', `${vm.name} is isolated: its machine has no network`, { hint: 'remove network: isolated' });
  }
  const attachment: ReplicaNetwork = {
    key,
    aliases: [...new Set([...(vm.oneOff ? [] : [vm.service]), ...wanted.aliases])],
    address: wanted.address,
    ...(wanted.address6 === undefined ? {} : { address6: wanted.address6 }),
    mac: undefined,
    interfaceName: freeInterface(networks),
    isDefault: networks.length === 0,
  };
  return { ...vm, spec: { ...vm.spec, networks: [...networks, attachment] } };
};

/** The reverse. The default route goes to the first of the networks that are left. Throws NOT_FOUND. Pure. */
export const withoutNetwork = (vm: VmRow, { key, name }: { key: string; name: string }): VmRow => {
  const left = vm.spec.networks.filter((network) => network.key !== key);
  if (left.length === vm.spec.networks.length) {
    throw new HyprError('NOT_FOUND', `container ${vm.name} is not connected to network ${name}`);
  }
  const hasDefault = left.some(({ isDefault }) => isDefault);
  const networks = left.map((network, index) => (hasDefault || index > 0 ? network : { ...network, isDefault: true }));
  return { ...vm, spec: { ...vm.spec, networks } };
};

const freeInterface = (networks: readonly ReplicaNetwork[]): string => {
  const taken = new Set(networks.map(({ interfaceName }) => interfaceName));
  for (let index = 0; ; index += 1) {
    if (!taken.has(`eth${index}`)) {
      return `eth${index}`;
    }
  }
};
