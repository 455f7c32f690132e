import { HyprError } from '../../base/errors.ts';
import type { NetworkConfig } from '../../compose/model/model.ts';
import { allocateAddress, chooseSubnetFrom } from '../../net/addresses/ipam.ts';
import { allocateAddress6, chooseSubnet6 } from '../../net/addresses/ipam6.ts';
import { overlaps, parseSubnet } from '../../net/addresses/ipv4.ts';
import type { StateReader } from '../state/store.ts';
import { checkReserved, ipamOf, limitsOf, refuseHostBitsOf } from './addresses.ts';
import { at, invalid, refuse } from './network-faults.ts';
import { findSharedNetwork, sharedNetworks } from './shared-networks.ts';

interface Surroundings {
  readonly state: Pick<StateReader, 'sharedNetworks' | 'networks'>;
  /** The names of shared networks that share a service with a network of the file. */
  readonly beside: (key: string) => ReadonlySet<string>;
}

/** Refuses what networks of the file cannot be, with its place. Throws COMPOSE_INVALID, NET_ADDRESS, HYPR_UNSUPPORTED. */
export const checkNetworkConfigs = (networks: ReadonlyArray<readonly [string, NetworkConfig]>, around: Surroundings): void => {
  for (const [key, config] of networks) {
    checkNetwork(key, config, around);
  }
  checkSubnets(networks);
};

const DRIVERS: readonly unknown[] = [undefined, '', 'bridge', 'gvproxy', 'default'];

/** Options of docker's bridge driver: what they do here, or why they are refused. */
const OPTIONS: Readonly<Record<string, (value: string) => string | undefined>> = {
  'com.docker.network.driver.mtu': (value) =>
    /^\d+$/.test(value) && Number(value) >= 1280 && Number(value) <= 65_521 ? undefined : 'it must be 1280 to 65521',
  'com.docker.network.bridge.name': () => undefined,
  'com.docker.network.bridge.enable_icc': (value) =>
    value === 'true' ? undefined : 'machines of one network reach each other; put them on different networks',
  'com.docker.network.bridge.enable_ip_masquerade': (value) =>
    value === 'true' ? undefined : 'use internal: true for a network without a way out',
};

/** An option of a network's driver that has no effect here could be a promise: `enable_icc: false`. Throws HYPR_UNSUPPORTED. */
export const refuseOption = (subject: string, option: string, value: string, path: readonly string[] = []): void => {
  const judge = Object.hasOwn(OPTIONS, option) ? OPTIONS[option] : undefined;
  const why = judge === undefined ? "docker's drivers are not used" : judge(value);
  if (why !== undefined) {
    throw refuse(`${subject}: driver_opts ${option}: ${value} is not supported: ${why}`, path);
  }
};

const checkNetwork = (key: string, config: NetworkConfig, around: Surroundings): void => {
  const path = ['networks', key];
  if (config.external === true) {
    return;
  }
  if (!DRIVERS.includes(config.driver)) {
    throw refuse(
      `network ${key}: driver: ${config.driver} is not supported: there is one kind of network, in user space`,
      [...path, 'driver'],
      {
        hint: 'leave driver out, or write bridge',
      },
    );
  }
  for (const [option, value] of Object.entries(config.driver_opts ?? {})) {
    refuseOption(`network ${key}`, option, String(value), [...path, 'driver_opts', option]);
  }
  if (config.enable_ipv4 === false) {
    throw refuse(`network ${key}: enable_ipv4: false is not supported: every network has IPv4`, [...path, 'enable_ipv4']);
  }
  if (findSharedNetwork(around.state, config.name) !== undefined) {
    throw invalid(`network ${key}: there is a network ${config.name} already, which was not made by this stack`, path, {
      hint: 'write external: true to use it, or choose another name',
    });
  }
  checkIpam(key, config, around);
};

const checkIpam = (key: string, config: NetworkConfig, around: Surroundings): void => {
  const path = ['networks', key, 'ipam'];
  const { ipam } = config;
  if (ipam?.driver !== undefined && ipam.driver !== '' && ipam.driver !== 'default') {
    throw refuse(`network ${key}: ipam.driver: ${ipam.driver} is not supported: addresses are given out by hypr`, [...path, 'driver']);
  }
  const [option] = Object.keys(ipam?.options ?? {});
  if (option !== undefined) {
    throw refuse(`network ${key}: ipam.options ${option} is not supported: addresses are given out by hypr`, [...path, 'options', option]);
  }
  const { v4, v6 } = ipamOf(config);
  const extra = (ipam?.config ?? []).findIndex((entry) => entry !== v4 && entry !== v6);
  if (extra >= 0) {
    throw refuse(`network ${key}: ipam.config has more than one subnet of a kind; a network has one of IPv4 and one of IPv6`, [
      ...path,
      'config',
      String(extra),
    ]);
  }
  if (Object.keys(v6).length > 0 && config.enable_ipv6 !== true) {
    throw invalid(`network ${key}: an IPv6 subnet needs enable_ipv6: true`, path);
  }
  const wanted = v4.subnet;
  if (wanted === undefined && [v4.gateway, v4.ip_range, v4.aux_addresses].some((value) => value !== undefined)) {
    throw invalid(`network ${key}: gateway, ip_range and aux_addresses need a subnet`, path);
  }
  if (v6.subnet === undefined && [v6.ip_range, v6.aux_addresses].some((value) => value !== undefined)) {
    throw invalid(`network ${key}: ip_range and aux_addresses of IPv6 need an IPv6 subnet`, path);
  }
  at(path, () => {
    // As docker, of a network that is to be made: one that is there has had its addresses made right.
    if (!around.state.networks().some(({ name }) => name === config.name)) {
      refuseHostBitsOf(config);
    }
    if (wanted !== undefined) {
      const taken = subnetsBeside(key, around);
      const chosen = chooseSubnetFrom({ wanted, gateway: v4.gateway, taken }, []);
      allocateAddress({ ...chosen, ...limitsOf(config), taken: [] });
      checkReserved({ reserved: Object.values(v4.aux_addresses ?? {}) }, chosen);
    }
    if (config.enable_ipv6 === true) {
      const chosen = chooseSubnet6({ wanted: v6.subnet, gateway: v6.gateway, taken: [], seed: key });
      allocateAddress6({ ...chosen, ...limitsOf(config), address: '0.0.0.0', subnet: '0.0.0.0/0', taken: [] });
      for (const reserved of Object.values(v6.aux_addresses ?? {})) {
        allocateAddress6({ ...chosen, address: '0.0.0.0', subnet: '0.0.0.0/0', taken: [], wanted: reserved });
      }
    }
  });
};

/** Networks are in user space: what is on one of them only does not see the addresses of another. */
const subnetsBeside = (key: string, { state, beside }: Surroundings): string[] => {
  const names = beside(key);
  return sharedNetworks(state).flatMap(({ name, spec }) => (names.has(name) ? [spec.subnet] : []));
};

/** Two networks of a file must differ, because a service may be on both. */
const checkSubnets = (networks: ReadonlyArray<readonly [string, NetworkConfig]>): void => {
  const wanted = networks.flatMap(([key, config]) => {
    const { subnet: text = '' } = config.external === true ? {} : ipamOf(config).v4;
    const subnet = parseSubnet(text);
    return subnet === undefined ? [] : [{ key, text, subnet }];
  });
  for (const [index, one] of wanted.entries()) {
    const other = wanted.slice(0, index).find(({ subnet }) => overlaps(subnet, one.subnet));
    if (other !== undefined) {
      throw new HyprError('NET_ADDRESS', `networks ${other.key} and ${one.key} have overlapping subnets: ${other.text} and ${one.text}`, {
        path: ['networks', one.key, 'ipam'],
        hint: 'choose another subnet, or leave ipam.config out',
      });
    }
  }
};
