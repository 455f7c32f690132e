import { HyprError } from '../../base/errors.ts';
import type { Project, Service } from '../../compose/model/model.ts';
import { replicaName } from '../model/names.ts';
import type { SharedMachine } from '../model/spec.ts';

/** The service that an attribute such as `network_mode: service:db` names. */
const named = (value: unknown): string | undefined => (typeof value === 'string' ? /^service:(.+)$/s.exec(value)?.[1] : undefined);

/**
 * The service whose network, and with it whose machine, a service has; that of a service which has another's itself is that
 * other's. It may be one whose profile is off, and which runs. Undefined: a machine of its own. Pure.
 */
export const machineOwner = (project: Project, service: string): string | undefined => {
  const everyone = everyoneOf(project);
  let owner = named(everyone[service]?.network_mode);
  for (let steps = 0; owner !== undefined && steps < Object.keys(everyone).length; steps++) {
    const next = named(everyone[owner]?.network_mode);
    if (next === undefined) {
      return owner;
    }
    owner = next;
  }
  return owner;
};

const everyoneOf = ({ services, disabledServices }: Project): Project['services'] => ({ ...disabledServices, ...services });

/** Where a service runs that has no machine of its own; as in docker compose it is with the first replica of the other. */
export const resolveSharedMachine = (project: Project, service: string): SharedMachine | undefined => {
  const owner = machineOwner(project, service);
  if (owner === undefined) {
    return undefined;
  }
  const replica = everyoneOf(project)[owner]?.container_name ?? replicaName(project, owner, 1);
  return { service: owner, replica, ...(named(project.services[service]?.ipc) === undefined ? {} : { ipc: true as const }) };
};

/** What belongs to the network of the other service, and what a machine of one's own is needed for. Throws COMPOSE_INVALID, HYPR_UNSUPPORTED. */
export const refuseBesideSharedMachine = (name: string, service: Service): void => {
  const owner = named(service.network_mode);
  const ipc = named(service.ipc);
  if (ipc !== undefined && owner === undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', `service ${name}: ipc: service:${ipc} needs the machine of ${ipc}, and with it its network`, {
      path: ['services', name, 'ipc'],
      hint: `add network_mode: service:${ipc}; the two then reach each other at localhost`,
    });
  }
  if (owner === undefined) {
    return;
  }
  if (ipc !== undefined && ipc !== owner) {
    throw new HyprError('HYPR_UNSUPPORTED', `service ${name}: ipc: service:${ipc} is not supported: it is in the machine of ${owner}`, {
      path: ['services', name, 'ipc'],
      hint: `write ipc: service:${owner}, or leave it out`,
    });
  }
  for (const [key, what] of OF_THE_NETWORK) {
    if (isGiven(service[key])) {
      throw new HyprError('COMPOSE_INVALID', `service ${name}: conflicting options: ${what} and network_mode: service:${owner}`, {
        path: ['services', name, key],
        hint: `${key} belongs to the network, which is that of ${owner}: move it to the service ${owner}`,
      });
    }
  }
  for (const key of ['pre_start', 'x-hypr', 'devices', 'gpus', 'uts', 'pid'] as const) {
    if (isGiven(service[key])) {
      throw new HyprError('HYPR_UNSUPPORTED', `service ${name}: ${key} is not supported for a service in the machine of ${owner}`, {
        path: ['services', name, key],
        hint: `remove ${key}, or network_mode: service:${owner}`,
      });
    }
  }
};

const isGiven = (value: unknown): boolean => value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);

/** With docker's words for each. */
const OF_THE_NETWORK: ReadonlyArray<readonly [keyof Service & string, string]> = [
  ['ports', 'port publishing'],
  ['hostname', 'hostname'],
  ['domainname', 'domainname'],
  ['mac_address', 'mac-address'],
  ['links', 'links'],
  ['dns', 'dns'],
  ['dns_search', 'dns search'],
  ['dns_opt', 'dns options'],
  ['extra_hosts', 'custom host-to-IP mapping'],
];
