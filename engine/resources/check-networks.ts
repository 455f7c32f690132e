import { isIPv4 } from 'node:net';
import { HyprError, type HyprErrorOptions } from '../../base/errors.ts';
import type { NetworkConfig, Project, Service } from '../../compose/model/model.ts';
import { allocateAddress, chooseSubnetFrom } from '../../net/addresses/ipam.ts';
import { allocateAddress6, chooseSubnet6 } from '../../net/addresses/ipam6.ts';
import { overlaps, parseSubnet } from '../../net/addresses/ipv4.ts';
import type { NetworkSpec } from '../../net/types.ts';
import { sharedNetworkName } from '../model/network-key.ts';
import { type Attachment, attachmentsOf } from '../resolve/networks.ts';
import type { StateReader } from '../state/store.ts';
import { ipamOf, limitsOf } from './addresses.ts';
import { findSharedNetwork, needSharedNetwork, sharedNetworks } from './shared-networks.ts';

type State = Pick<StateReader, 'sharedNetworks' | 'networks'>;

/**
 * Refuses what the networks of these services cannot have, with its place, before anything is pulled or made. Throws COMPOSE_INVALID,
 * NET_ADDRESS, HYPR_UNSUPPORTED, EXTERNAL_NOT_FOUND.
 */
export const checkNetworks = (project: Project, services: readonly string[], state: State): void => {
  const used = new Set<string>();
  const fixed = new Map<string, string>();
  for (const name of services) {
    const service = project.services[name] ?? {};
    checkService(name, service);
    const attachments = attachmentsOf(project, service);
    checkInterfaces(name, service, attachments);
    for (const attachment of attachments) {
      used.add(attachment.name);
      checkAttachment({ project, service: name, attachment, state, fixed });
    }
  }
  const networks = Object.entries(project.networks).filter(([key]) => used.has(key));
  for (const [key, config] of networks) {
    checkNetwork(key, config, state);
  }
  checkSubnets(networks);
};

const refuse = (message: string, path: readonly string[], more: Pick<HyprErrorOptions, 'hint'> = {}): HyprError =>
  new HyprError('HYPR_UNSUPPORTED', message, { path, ...more });

const invalid = (message: string, path: readonly string[], more: Pick<HyprErrorOptions, 'hint'> = {}): HyprError =>
  new HyprError('COMPOSE_INVALID', message, { path, ...more });

/** Gives an error of an address its place in the file. */
const at = <T>(path: readonly string[], work: () => T): T => {
  try {
    return work();
  } catch (error) {
    if (error instanceof HyprError && error.path === undefined) {
      const { code, message, hint } = error;
      throw new HyprError(code, `${path.slice(1, 2).join('')}: ${message}`, {
        path,
        ...(hint === undefined ? {} : { hint }),
        cause: error,
      });
    }
    throw error;
  }
};

const checkService = (name: string, service: Service): void => {
  for (const server of service.dns ?? []) {
    if (!isIPv4(server)) {
      throw refuse(`service ${name}: dns: ${server} is not supported: name servers are asked over IPv4, by address`, [
        'services',
        name,
        'dns',
      ]);
    }
  }
  if (service.network_mode === 'none' && (service.ports ?? []).length > 0) {
    throw invalid(`service ${name} publishes ports but has no network`, ['services', name, 'ports'], {
      hint: 'remove network_mode: none, or the ports',
    });
  }
};

const INTERFACE = /^[^\s/:%]{1,15}$/;

const checkInterfaces = (name: string, { mac_address: mac }: Service, attachments: readonly Attachment[]): void => {
  const taken = new Set<string>(['lo']);
  for (const { name: network, own } of attachments) {
    const path = ['services', name, 'networks', network];
    const wanted = own.interface_name;
    if (
      wanted !== undefined &&
      (!INTERFACE.test(wanted) || wanted === '.' || wanted === '..' || /^hypr\d/.test(wanted) || taken.has(wanted))
    ) {
      throw invalid(
        `service ${name}: the interface name ${JSON.stringify(wanted)} cannot be used, or is given twice`,
        [...path, 'interface_name'],
        {
          hint: 'up to 15 characters, without spaces, "/", ":" and "%"',
        },
      );
    }
    taken.add(wanted ?? '');
    checkMac(name, own.mac_address, [...path, 'mac_address']);
  }
  checkMac(name, mac, ['services', name, 'mac_address']);
};

const checkMac = (name: string, mac: string | undefined, path: readonly string[]): void => {
  const isGroup = mac !== undefined && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
  if (mac !== undefined && (!/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(mac) || isGroup)) {
    throw invalid(`service ${name}: ${JSON.stringify(mac)} is not the MAC address of an interface`, path, {
      hint: 'write it as 02:42:ac:11:00:02',
    });
  }
};

interface AttachmentCheck {
  readonly project: Project;
  readonly service: string;
  readonly attachment: Attachment;
  readonly state: State;
  /** Fixed addresses of the services before, with whose they are. */
  readonly fixed: Map<string, string>;
}

const checkAttachment = (check: AttachmentCheck): void => {
  const { project, service, attachment, state } = check;
  const { own, name } = attachment;
  const path = ['services', service, 'networks', name];
  if ((own.link_local_ips ?? []).length > 0) {
    throw refuse(
      `service ${service}: link_local_ips is not supported: the network carries only the addresses that it gave out`,
      [...path, 'link_local_ips'],
      {
        hint: 'use ipv4_address',
      },
    );
  }
  const [option] = Object.keys(own.driver_opts ?? {});
  if (option !== undefined) {
    throw refuse(`service ${service}: driver_opts ${option} of network ${name} is not supported: docker's drivers are not used`, [
      ...path,
      'driver_opts',
    ]);
  }
  const shared = sharedNetworkName(attachment.key);
  const spec = shared === undefined ? undefined : at(['networks', name], () => needSharedNetwork(state, shared).spec);
  checkFixed(check, { network: project.networks[name], spec });
};

const checkFixed = (
  check: AttachmentCheck,
  { network, spec }: { network: NetworkConfig | undefined; spec: NetworkSpec | undefined },
): void => {
  const { service, attachment, fixed } = check;
  const { own, name, key } = attachment;
  const path = ['services', service, 'networks', name];
  for (const attribute of ['ipv4_address', 'ipv6_address', 'mac_address'] as const) {
    const value = own[attribute]?.toLowerCase();
    const before = value === undefined ? undefined : fixed.get(`${key} ${value}`);
    if (before !== undefined) {
      throw invalid(`services ${before} and ${service} have the same ${attribute} ${value} on network ${name}`, [...path, attribute]);
    }
    if (value !== undefined) {
      fixed.set(`${key} ${value}`, service);
    }
  }
  const { v4, v6 } = ipamOf(network);
  if (own.ipv4_address !== undefined) {
    const subnet = spec?.subnet ?? v4.subnet;
    if (subnet === undefined) {
      throw invalid(`service ${service}: an ipv4_address needs a subnet of network ${name}`, [...path, 'ipv4_address'], {
        hint: `add to networks.${name}: ipam: {config: [{subnet: 10.90.0.0/24}]}`,
      });
    }
    at([...path, 'ipv4_address'], () => {
      const chosen = spec ?? chooseSubnetFrom({ wanted: subnet, gateway: v4.gateway, taken: [] }, []);
      allocateAddress({ ...limitsOf(network), ...chosen, taken: [], wanted: own.ipv4_address });
    });
  }
  if (own.ipv6_address !== undefined) {
    if (spec === undefined ? network?.enable_ipv6 !== true || v6.subnet === undefined : spec.subnet6 === undefined) {
      throw invalid(
        `service ${service}: an ipv6_address needs enable_ipv6 and an IPv6 subnet of network ${name}`,
        [...path, 'ipv6_address'],
        {
          hint: `add to networks.${name}: enable_ipv6: true, ipam: {config: [{subnet: "fd12:3456:789a::/64"}]}`,
        },
      );
    }
    at([...path, 'ipv6_address'], () => {
      const chosen = spec?.subnet6
        ? { subnet6: spec.subnet6, gateway6: spec.gateway6 ?? '' }
        : chooseSubnet6({ wanted: v6.subnet, gateway: v6.gateway, taken: [], seed: '' });
      allocateAddress6({ ...chosen, address: '0.0.0.0', subnet: '0.0.0.0/0', taken: [], wanted: own.ipv6_address });
    });
  }
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

const checkNetwork = (key: string, config: NetworkConfig, state: State): void => {
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
  if (findSharedNetwork(state, config.name) !== undefined) {
    throw invalid(`network ${key}: there is a network ${config.name} already, which was not made by this stack`, path, {
      hint: 'write external: true to use it, or choose another name',
    });
  }
  checkIpam(key, config, state);
};

const checkIpam = (key: string, config: NetworkConfig, state: State): void => {
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
  at(path, () => {
    if (wanted !== undefined) {
      const chosen = chooseSubnetFrom({ wanted, gateway: v4.gateway, taken: sharedNetworks(state).map(({ spec }) => spec.subnet) }, []);
      allocateAddress({ ...chosen, ...limitsOf(config), taken: [] });
      for (const reserved of Object.values(v4.aux_addresses ?? {})) {
        allocateAddress({ ...chosen, taken: [], wanted: reserved });
      }
    }
    if (config.enable_ipv6 === true) {
      chooseSubnet6({ wanted: v6.subnet, gateway: v6.gateway, taken: [], seed: key });
    }
  });
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
