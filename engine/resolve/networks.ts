import { HyprError } from '../../base/errors.ts';
import { readIsolation } from '../../compose/model/isolation.ts';
import type { PortConfig, Project, Service } from '../../compose/model/model.ts';
import type { ReplicaNetwork, ReplicaPort } from '../model/spec.ts';

/** The networks of a service in the order of its interfaces (by priority, then name), with the names it answers to on each. */
export const resolveNetworks = (project: Project, serviceName: string, service: Service): ReplicaNetwork[] => {
  if (service.network_mode === 'none' || isIsolated(service)) {
    return [];
  }
  const wanted = Object.entries(service.networks ?? { default: null });
  const sorted = wanted.sort(([a, left], [b, right]) => (right?.priority ?? 0) - (left?.priority ?? 0) || (a < b ? -1 : 1));
  const gateway = defaultRoute(project, sorted);
  return sorted.map(([key, own], index) => ({
    key,
    aliases: [...new Set([serviceName, ...(own?.aliases ?? [])])],
    address: own?.ipv4_address,
    mac: own?.mac_address ?? (sorted.length === 1 ? service.mac_address : undefined),
    interfaceName: own?.interface_name ?? `eth${index}`,
    isDefault: key === gateway,
  }));
};

/** Whether the file gives it a machine without a NIC that is reached through the supervisor. */
const isIsolated = (service: Service): boolean => readIsolation(service['x-hypr']) !== undefined;

type Attachment = [string, { gw_priority?: number } | null | undefined];

/** The default route uses the network with the highest gw_priority that is not internal. */
const defaultRoute = (project: Project, attachments: readonly Attachment[]): string | undefined => {
  const open = attachments.filter(([key]) => project.networks[key]?.internal !== true);
  const best = [...open].sort(([, left], [, right]) => (right?.gw_priority ?? 0) - (left?.gw_priority ?? 0))[0];
  return (best ?? attachments[0])?.[0];
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
