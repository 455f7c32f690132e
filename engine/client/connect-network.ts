import { HyprError } from '../../base/errors.ts';
import { withLock } from '../../base/host/lock.ts';
import type { HomePaths } from '../../base/paths.ts';
import { networkNotFound, sharedNetworkKey, shownNetwork } from '../model/network-key.ts';
import type { NetworkAttachment } from '../model/object-types.ts';
import type { ReplicaNetwork } from '../model/spec.ts';
import { stackPaths } from '../model/stack-paths.ts';
import { type AddressLimits, leaseAddresses, limitsOf, limitsOfShared } from '../resources/addresses.ts';
import { findSharedNetwork } from '../resources/shared-networks.ts';
import { matchingVms } from '../state/matching-vms.ts';
import type { NetworkRow, VmRow } from '../state/records.ts';
import { openStateStore, type StateStore } from '../state/store.ts';

/** How long a supervisor that has nothing left to do may take to end. */
const SUPERVISOR_ENDS_MS = 3_000;

/**
 * Puts a stopped replica on one more network, from its next start on, until it is made again. A machine has its NICs from its start on,
 * and the rows of a stack are its supervisor's while that runs. Throws NOT_FOUND, HYPR_UNSUPPORTED, NET_ADDRESS, NET_EXHAUSTED.
 */
export const connectNetwork = (paths: HomePaths, name: string, reference: string, wanted: NetworkAttachment): Promise<void> =>
  change(paths, reference, (vm, store) => {
    const network = findNetwork(store, name, vm);
    if (vm.spec.networks.some(({ key }) => key === network.key)) {
      throw new HyprError('COMPOSE_INVALID', `endpoint with name ${vm.name} already exists in network ${name}`);
    }
    const { networks } = vm.spec;
    const attachment: ReplicaNetwork = {
      key: network.key,
      aliases: [...new Set([...(vm.oneOff ? [] : [vm.service]), ...wanted.aliases])],
      address: wanted.address,
      ...(wanted.address6 === undefined ? {} : { address6: wanted.address6 }),
      mac: undefined,
      interfaceName: freeInterface(networks),
      isDefault: networks.length === 0,
    };
    const row = { ...vm, spec: { ...vm.spec, networks: [...networks, attachment] } };
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
  change(paths, reference, (vm, store) => {
    const { key } = findNetwork(store, name, vm);
    const left = vm.spec.networks.filter((network) => network.key !== key);
    if (left.length === vm.spec.networks.length) {
      throw new HyprError('NOT_FOUND', `container ${vm.name} is not connected to network ${name}`);
    }
    const hasDefault = left.some(({ isDefault }) => isDefault);
    const networks = left.map((network, index) => (hasDefault || index > 0 ? network : { ...network, isDefault: true }));
    store.removeLease(vm.id, key);
    store.putVm({ ...vm, spec: { ...vm.spec, networks } });
  });

const change = async (paths: HomePaths, reference: string, work: (vm: VmRow, store: StateStore) => void): Promise<void> => {
  const store = openStateStore(paths.database);
  try {
    const { stack } = needVm(store, reference);
    await whileUnsupervised(stack, reference, async () => {
      // A lease that fails takes everything back.
      store.transaction(() => {
        const vm = needVm(store, reference);
        if (vm.machine !== undefined || vm.state === 'suspended') {
          throw running(vm.name, stack);
        }
        work(vm, store);
      });
    });
  } finally {
    store.close();
  }
};

const whileUnsupervised = async (stack: string, reference: string, work: () => Promise<void>): Promise<void> => {
  try {
    await withLock(stackPaths(stack).lock, { what: `the stack ${stack}`, timeout: SUPERVISOR_ENDS_MS }, work);
  } catch (error) {
    throw error instanceof HyprError && error.code === 'HYPR_LOCKED' ? running(reference, stack) : error;
  }
};

const running = (name: string, stack: string): HyprError =>
  new HyprError(
    'HYPR_UNSUPPORTED',
    `the networks of ${name} cannot change while its stack runs: a machine has its NICs from its start on`,
    {
      hint: `stop it first (hypr -p ${stack} stop), then start it again; or change networks: in the Compose file and run up`,
    },
  );

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

/** A shared network, or one of the replica's own stack. */
const findNetwork = (store: StateStore, name: string, { stack }: VmRow): { readonly key: string } => {
  if (findSharedNetwork(store, name) !== undefined) {
    return { key: sharedNetworkKey(name) };
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
  return { key: row.key };
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

const freeInterface = (networks: readonly ReplicaNetwork[]): string => {
  const taken = new Set(networks.map(({ interfaceName }) => interfaceName));
  for (let index = 0; ; index += 1) {
    if (!taken.has(`eth${index}`)) {
      return `eth${index}`;
    }
  }
};
