import type { HomePaths } from '../../../base/paths.ts';
import { networkNotFound, shownNetwork } from '../../model/network-key.ts';
import type { NetworkAttachment } from '../../model/object-types.ts';
import { type AddressLimits, leaseAddresses, limitsOf, limitsOfShared } from '../../resources/addresses.ts';
import { networkKeyOf, withNetwork, withoutNetwork } from '../../resources/attachments.ts';
import { findSharedNetwork } from '../../resources/shared-networks.ts';
import type { NetworkRow, VmRow } from '../../state/records.ts';
import type { StateStore } from '../../state/store.ts';
import { changeSupervised } from './change-supervised.ts';

/**
 * Puts a replica on one more network until it is made again: at once while it runs, which is its supervisor's work, else from its next
 * start on. Throws NOT_FOUND, HYPR_UNSUPPORTED, NET_ADDRESS, NET_EXHAUSTED, VMM_START.
 */
export const connectNetwork = (paths: HomePaths, name: string, reference: string, wanted: NetworkAttachment): Promise<void> =>
  change(paths, { name, reference, wanted }, (vm, store) => {
    const row = withNetwork(vm, { key: networkKeyOf(store, name, vm), name }, wanted);
    leaseAddresses(row, {
      stack: vm.stack,
      store,
      row: (key) => networkOf(store, key, vm.stack),
      limits: (key) => networkOf(store, key, vm.stack).limits,
    });
    store.putVm(row);
  });

/** The reverse. The default route goes to the first of the networks that are left. */
export const disconnectNetwork = (paths: HomePaths, name: string, reference: string): Promise<void> =>
  change(paths, { name, reference }, (vm, store) => {
    const key = networkKeyOf(store, name, vm);
    const row = withoutNetwork(vm, { key, name });
    store.removeLease(vm.id, key);
    store.putVm(row);
  });

interface Change {
  readonly name: string;
  readonly reference: string;
  readonly wanted?: NetworkAttachment;
}

const change = (paths: HomePaths, { name, reference, wanted }: Change, work: (vm: VmRow, store: StateStore) => void): Promise<void> =>
  changeSupervised(paths, reference, {
    ask: async (api, id) => {
      const connect = wanted && { ...wanted, aliases: [...wanted.aliases] };
      await api.rpc.changeNetwork({ network: name, replica: id, ...(connect === undefined ? {} : { connect }) });
    },
    work,
  });

const networkOf = (store: StateStore, key: string, stack: string): Pick<NetworkRow, 'name' | 'spec'> & { limits: AddressLimits } => {
  const own = store.networks(stack).find((row) => row.key === key);
  if (own !== undefined) {
    return { ...own, limits: limitsOf(store.stack(stack)?.project.networks[key]) };
  }
  const name = shownNetwork(key);
  const shared = findSharedNetwork(store, name);
  if (shared === undefined) {
    throw networkNotFound(name);
  }
  return { ...shared, limits: limitsOfShared(shared.options) };
};
