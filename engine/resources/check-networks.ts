import { isIPv4 } from 'node:net';
import type { NetworkConfig, Project, Service } from '../../compose/model/model.ts';
import { allocateAddress, chooseSubnetFrom } from '../../net/addresses/ipam.ts';
import { allocateAddress6, chooseSubnet6 } from '../../net/addresses/ipam6.ts';
import type { NetworkSpec } from '../../net/types.ts';
import { sharedNetworkName } from '../model/network-key.ts';
import { type Attachment, attachmentsOf, sharedBeside } from '../resolve/networks.ts';
import type { StateReader } from '../state/store.ts';
import { ipamOf, limitsOf } from './addresses.ts';
import { checkNetworkConfigs } from './check-network-config.ts';
import { at, invalid, refuse } from './network-faults.ts';
import { needSharedNetwork } from './shared-networks.ts';

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
  checkNetworkConfigs(
    Object.entries(project.networks).filter(([key]) => used.has(key)),
    { state, beside: (key) => sharedBeside(project, key) },
  );
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
