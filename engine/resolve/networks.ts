import { HyprError } from '../../base/errors.ts';
import { readIsolation } from '../../compose/model/isolation.ts';
import type { PortConfig, Project, Service, ServiceNetwork } from '../../compose/model/model.ts';
import { DEFAULT_NETWORK, sharedNetworkKey, sharedNetworkName } from '../model/network-key.ts';
import type { ReplicaNetwork, ReplicaPort } from '../model/spec.ts';

/** The networks of a service in the order of its interfaces (by priority, then name), with the names it answers to on each. */
export const resolveNetworks = (project: Project, serviceName: string, service: Service): ReplicaNetwork[] => {
  const sorted = attachmentsOf(project, service).sort(
    (a, b) => (b.own.priority ?? 0) - (a.own.priority ?? 0) || (a.name < b.name ? -1 : 1),
  );
  const gateway = defaultRoute(sorted);
  return sorted.map(({ key, own }, index) => ({
    key,
    aliases: [...new Set([serviceName, ...(own.aliases ?? [])])],
    address: own.ipv4_address,
    ...(own.ipv6_address === undefined ? {} : { address6: own.ipv6_address }),
    mac: own.mac_address ?? (sorted.length === 1 ? service.mac_address : undefined),
    interfaceName: own.interface_name ?? `eth${index}`,
    isDefault: key === gateway,
  }));
};

/** Whether the file gives it a machine without a NIC that is reached through the supervisor. */
const isIsolated = (service: Service): boolean => readIsolation(service['x-hypr']) !== undefined;

/** A network that a service is on. */
export interface Attachment {
  /** Its name in the file; of `network_mode: bridge` the default network's. */
  readonly name: string;
  readonly key: string;
  readonly own: ServiceNetwork;
  readonly internal: boolean;
}

/** The networks of a service, in the order of the file. */
export const attachmentsOf = (project: Project, service: Service): Attachment[] => {
  // Of another service's network nothing is its own.
  if (service.network_mode === 'none' || service.network_mode?.startsWith('service:') || isIsolated(service)) {
    return [];
  }
  // Docker's words for the network that standalone containers are on.
  if (service.network_mode !== undefined) {
    return [{ name: DEFAULT_NETWORK, key: sharedNetworkKey(DEFAULT_NETWORK), own: {}, internal: false }];
  }
  return Object.entries(service.networks ?? { default: null }).map(([name, own]) => {
    const config = project.networks[name];
    const key = config?.external === true ? sharedNetworkKey(config.name) : name;
    return { name, key, own: own ?? {}, internal: config?.internal === true };
  });
};

/** The names of shared networks that a service is on beside this network of the file: only their addresses must differ from its own. */
export const sharedBeside = (project: Project, network: string): Set<string> =>
  new Set(
    Object.values(project.services)
      .map((service) => attachmentsOf(project, service))
      .filter((attachments) => attachments.some(({ name }) => name === network))
      .flatMap((attachments) => attachments.flatMap(({ key }) => sharedNetworkName(key) ?? [])),
  );

/** The default route uses the network with the highest gw_priority that is not internal. */
const defaultRoute = (attachments: readonly Attachment[]): string | undefined => {
  const open = attachments.filter(({ internal }) => !internal);
  const best = [...open].sort((left, right) => (right.own.gw_priority ?? 0) - (left.own.gw_priority ?? 0))[0];
  return (best ?? attachments[0])?.key;
};

/** Published ports. A range of host ports leaves the choice open; replicas of a service share the range. */
export const resolvePorts = (service: Service, number: number): ReplicaPort[] =>
  (service.ports ?? []).map((port) => ({
    protocol: protocolOf(port),
    hostAddress: port.host_ip ?? '',
    hostPorts: hostPortsOf(port, number),
    port: port.target,
  }));

const protocolOf = (port: PortConfig): 'tcp' | 'udp' => {
  const protocol = port.protocol ?? 'tcp';
  if (protocol !== 'tcp' && protocol !== 'udp') {
    throw new HyprError('HYPR_UNSUPPORTED', `port ${port.target}/${protocol} cannot be published: the network carries TCP and UDP`);
  }
  return protocol;
};

const hostPortsOf = (port: PortConfig, _number: number): readonly [number, number] => {
  const [first, last] = (port.published ?? '0').split('-').map(Number);
  return [first ?? 0, last ?? first ?? 0];
};

/**
 * Each exposed port (`80/tcp`, `3000-3005/tcp`) that is not published yet, on any free port of this host. Images are not
 * trusted: what is no range of ports is left out.
 */
export const publishExposed = (exposed: readonly string[], published: readonly ReplicaPort[]): ReplicaPort[] =>
  exposed.flatMap((entry) => {
    const [, from, to = from, protocol] = /^(\d+)(?:-(\d+))?\/(tcp|udp)$/.exec(entry) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if ((protocol !== 'tcp' && protocol !== 'udp') || first < 1 || last > MAX_PORT || last < first) {
      return [];
    }
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
      .filter((port) => !published.some((known) => known.port === port && known.protocol === protocol))
      .map((port) => ({ protocol, hostAddress: '', hostPorts: [0, 0] as const, port }));
  });

const MAX_PORT = 65_535;
