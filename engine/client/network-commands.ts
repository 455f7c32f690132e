import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { HyprError } from '../../base/errors.ts';
import type { HomePaths } from '../../base/paths.ts';
import type { NetworkConfig } from '../../compose/model/model.ts';
import { refuseHostBits } from '../../net/addresses/host-bits.ts';
import { allocateAddress } from '../../net/addresses/ipam.ts';
import { allocateAddress6 } from '../../net/addresses/ipam6.ts';
import { sweepNetwork } from '../../net/client/network.ts';
import { openCapture } from '../../net/client/streams.ts';
import { DEFAULT_NETWORK, networkNotFound, sharedNetworkKey } from '../model/network-key.ts';
import type { NetworkRequest, ObjectApi } from '../model/object-types.ts';
import { checkReserved, chooseSubnets, limitsOf, networkMtu, refuseHostBitsOf } from '../resources/addresses.ts';
import { refuseOption } from '../resources/check-network-config.ts';
import { findSharedNetwork, lockNetwork, sharedNetworks } from '../resources/shared-networks.ts';
import type { SharedNetworkRow } from '../state/records.ts';
import { openStateReader, openStateStore, type StateStore } from '../state/store.ts';
import { connectNetwork, disconnectNetwork } from './changes/connect-network.ts';

type NetworkCommands = Pick<ObjectApi, 'createNetwork' | 'removeNetwork' | 'captureNetwork' | 'connectNetwork' | 'disconnectNetwork'>;

/** `network create`, `rm`, `connect`, `disconnect` and `capture`. */
export const networkCommands = (paths: HomePaths): NetworkCommands => {
  const write = async <T>(work: (store: StateStore) => T | Promise<T>): Promise<T> => {
    const store = openStateStore(paths.database);
    try {
      return await work(store);
    } finally {
      store.close();
    }
  };
  return {
    createNetwork: (request) =>
      lockNetwork('', paths, undefined, () =>
        write(async (store) => {
          const row = await newNetwork(request, store);
          store.putSharedNetwork(row);
          return row.id;
        }),
      ),
    removeNetwork: (name, options) => lockNetwork(name, paths, undefined, () => write((store) => removeNetwork(name, options, store))),
    connectNetwork: (name, replica, attachment) => connectNetwork(paths, name, replica, attachment),
    disconnectNetwork: (name, replica) => disconnectNetwork(paths, name, replica),
    captureNetwork: (name, options) => capture(name, options, paths),
  };
};

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
/** Docker's other networks, which no machine can have. */
const RESERVED = ['host', 'none', 'default', 'isolated', 'vsock'];

const newNetwork = async (request: NetworkRequest, store: StateStore): Promise<SharedNetworkRow> => {
  const { name } = request;
  refuseBadName(name, store);
  for (const [option, value] of Object.entries(request.options)) {
    refuseOption(`network ${name}`, option, value);
  }
  const config = configOf(request);
  refuseHostBitsOf(config);
  for (const range of request.ranges) {
    refuseHostBits('ip-range', range);
  }
  const rows = [...store.networks(), ...sharedNetworks(store)];
  const id = randomBytes(32).toString('hex');
  const addresses = await chooseSubnets(config, { rows, seed: `network ${name} ${id}` });
  const limits = limitsOf(config);
  allocateAddress({ ...addresses, ...limits, taken: [], hostAccess: !request.internal });
  checkReserved(limits, addresses);
  const { subnet6, gateway6 } = addresses;
  if (subnet6 !== undefined && gateway6 !== undefined) {
    allocateAddress6({ ...limits, subnet6, gateway6, address: '0.0.0.0', subnet: '0.0.0.0/0', taken: [] });
  }
  return {
    name,
    id,
    spec: { name, runDir: '', log: '', ...addresses, internal: request.internal, mtu: networkMtu(config), hostAccess: !request.internal },
    options: {
      labels: request.labels,
      driver: { 'com.docker.network.bridge.name': freeBridge(store), ...request.options },
      ...(limits.range === undefined ? {} : { range: limits.range }),
      ...(limits.range6 === undefined ? {} : { range6: limits.range6 }),
      reserved: request.reserved,
    },
    record: undefined,
    createdAt: Date.now(),
  };
};

const refuseBadName = (name: string, store: StateStore): void => {
  if (!NAME.test(name) || RESERVED.includes(name)) {
    throw new HyprError('COMPOSE_INVALID', `${JSON.stringify(name)} cannot be the name of a network`, {
      hint: `letters, digits, "_", "." and "-", beginning with a letter or digit; not ${RESERVED.join(', ')}`,
    });
  }
  const owner = store.networks().find((row) => row.name === name)?.stack;
  if (owner !== undefined || findSharedNetwork(store, name) !== undefined) {
    throw new HyprError('COMPOSE_INVALID', `network with name ${name} already exists`, {
      hint: owner === undefined ? `see: hypr network inspect ${name}` : `it belongs to the stack ${owner}`,
    });
  }
};

const isV6 = (text: string): boolean => text.includes(':');

/** As the Compose file would have it. Throws HYPR_USAGE. */
const configOf = (request: NetworkRequest): Pick<NetworkConfig, 'ipam' | 'enable_ipv6' | 'driver_opts'> => {
  const kinds = [request.subnets.filter((text) => !isV6(text)), request.subnets.filter(isV6)] as const;
  const [[subnet], [subnet6]] = kinds;
  if (kinds.some((list) => list.length > 1)) {
    throw new HyprError('HYPR_USAGE', 'a network has one subnet of IPv4 and one of IPv6 at most');
  }
  if (subnet6 !== undefined && !request.ipv6) {
    throw new HyprError('HYPR_USAGE', `--subnet ${subnet6} needs --ipv6`);
  }
  const gateway = request.gateways.find((text) => !isV6(text));
  const gateway6 = request.gateways.find(isV6);
  const { reserved } = request;
  const [range, range6] = [request.ranges.filter((text) => !isV6(text)), request.ranges.filter(isV6)].map(onlyRange);
  if (range6 !== undefined && subnet6 === undefined) {
    throw new HyprError('HYPR_USAGE', `--ip-range ${range6} needs a --subnet of IPv6`, {
      hint: 'such as --ipv6 --subnet fd12:3456:789a::/64',
    });
  }
  if (subnet === undefined && (gateway !== undefined || range !== undefined || Object.values(reserved).some((text) => !isV6(text)))) {
    throw new HyprError('HYPR_USAGE', '--gateway, --ip-range and --aux-address need a --subnet', { hint: 'such as --subnet 10.90.0.0/24' });
  }
  const reservedOf = (six: boolean) => Object.fromEntries(Object.entries(reserved).filter(([, text]) => isV6(text) === six));
  const v4 = { subnet, gateway, ip_range: range, aux_addresses: reservedOf(false) };
  const v6 = { subnet: subnet6, gateway: gateway6, ip_range: range6, aux_addresses: reservedOf(true) };
  const set = (entry: object): object => Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined));
  return {
    enable_ipv6: request.ipv6,
    driver_opts: { ...request.options },
    ipam: {
      config: [...(subnet === undefined ? [] : [set(v4)]), ...(subnet6 === undefined ? [] : [set(v6)])],
    },
  };
};

const onlyRange = ([range, more]: readonly string[]): string | undefined => {
  if (more !== undefined) {
    throw new HyprError('HYPR_USAGE', 'a network has one --ip-range of IPv4 and one of IPv6 at most');
  }
  return range;
};

/** The name that docker's bridge would have, as the seeds show it: a label. */
const freeBridge = (store: StateStore): string => {
  const taken = new Set(sharedNetworks(store).map(({ options }) => options.driver['com.docker.network.bridge.name']));
  for (let number = 1; ; number += 1) {
    if (!taken.has(`vbr${number}`)) {
      return `vbr${number}`;
    }
  }
};

const removeNetwork = async (name: string, { force }: { force: boolean }, store: StateStore): Promise<void> => {
  if (name === DEFAULT_NETWORK) {
    throw new HyprError('NETWORK_IN_USE', `${name} is a pre-defined network and cannot be removed`);
  }
  const row = findSharedNetwork(store, name);
  if (row === undefined) {
    const owner = store.networks().find((network) => network.name === name)?.stack;
    throw owner === undefined
      ? networkNotFound(name)
      : new HyprError('NETWORK_IN_USE', `network ${name} belongs to the stack ${owner}`, {
          hint: `it goes with that: hypr -p ${owner} down`,
        });
  }
  // In one transaction, so that no replica takes an address meanwhile.
  store.transaction(() => {
    const leases = store.leases('', sharedNetworkKey(name));
    const users = store.vms().filter((vm) => leases.some((lease) => lease.vmId === vm.id));
    const [user] = users;
    if (user !== undefined && !force) {
      throw new HyprError('NETWORK_IN_USE', `network ${name} has active endpoints: ${users.map((vm) => vm.name).join(', ')}`, {
        hint: `remove them first (hypr -p ${user.stack} down), or give --force: they stay without it`,
      });
    }
    store.removeLeases('', sharedNetworkKey(name));
    store.removeSharedNetwork(name);
  });
  if (row.record !== undefined) {
    await sweepNetwork(row.record);
  }
};

const capture = async (name: string, options: { snap?: number; signal: AbortSignal }, paths: HomePaths): Promise<Duplex> => {
  const state = openStateReader(paths.database);
  try {
    const row = findSharedNetwork(state, name) ?? state.networks().find((network) => network.name === name);
    if (row === undefined) {
      throw networkNotFound(name);
    }
    if (row.record === undefined) {
      throw new HyprError('NET_START', `network ${name} does not run: no machine is on it`);
    }
    return await openCapture(row.record.socket, options.snap ?? WHOLE_FRAMES, options.signal);
  } finally {
    state.close();
  }
};

const WHOLE_FRAMES = 65_535;
