import { HyprError } from '../../base/errors.ts';
import type { HomePaths } from '../../base/paths.ts';
import { fromCallError } from '../api/call-error.ts';
import { hasMachine } from '../model/lifecycle.ts';
import { networkNotFound, shownNetwork } from '../model/network-key.ts';
import type { NetworkAttachment } from '../model/object-types.ts';
import { type AddressLimits, leaseAddresses, limitsOf, limitsOfShared } from '../resources/addresses.ts';
import { networkKeyOf, withNetwork, withoutNetwork } from '../resources/attachments.ts';
import { findSharedNetwork } from '../resources/shared-networks.ts';
import { matchingVms } from '../state/matching-vms.ts';
import type { NetworkRow, VmRow } from '../state/records.ts';
import { openStateStore, type StateStore } from '../state/store.ts';
import { whileUnsupervised } from './changes/while-unsupervised.ts';
import { SupervisorLink } from './supervisor-link.ts';

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

const change = async (paths: HomePaths, asked: Change, work: (vm: VmRow, store: StateStore) => void): Promise<void> => {
  const store = openStateStore(paths.database);
  try {
    const { id, stack } = needVm(store, asked.reference);
    const isNeeded = async () => store.vms(stack).some((vm) => hasMachine(vm.state) || vm.state === 'restarting');
    const link = new SupervisorLink({ stack, paths, isNeeded });
    try {
      const api = await link.ifRunning(() => {});
      if (api !== undefined) {
        const { name, wanted } = asked;
        const connect = wanted && { ...wanted, aliases: [...wanted.aliases] };
        await api.rpc.changeNetwork({ network: name, replica: id, ...(connect === undefined ? {} : { connect }) });
        return;
      }
    } catch (error) {
      throw fromCallError(error);
    } finally {
      link.close();
    }
    await whileUnsupervised(stack, starting(asked.reference), async () => {
      // A lease that fails takes everything back.
      store.transaction(() => work(needVm(store, asked.reference), store));
    });
  } finally {
    store.close();
  }
};

const starting = (reference: string) => (): HyprError =>
  new HyprError('HYPR_LOCKED', `the stack of ${reference} is just being started or stopped`, { hint: 'try again' });

const needVm = (store: StateStore, reference: string): VmRow => {
  const found = matchingVms(store.vms(), reference);
  const [vm, other] = found;
  if (vm === undefined) {
    throw new HyprError('NOT_FOUND', `there is no replica ${reference}`, { hint: 'replicas are named as in: hypr ps -a' });
  }
  if (other !== undefined) {
    throw new HyprError(
      'HYPR_USAGE',
      `${reference} may be each of ${found.map(({ name, stack }) => `${name} (stack ${stack})`).join(', ')}`,
      {
        hint: 'write its id: hypr ps --no-trunc -q',
      },
    );
  }
  return vm;
};

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
