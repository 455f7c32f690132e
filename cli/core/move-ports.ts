import type { Project, Service } from '../../compose/model/model.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import type { Flags } from './flags.ts';
import { PORT_MODES } from './modes.ts';

/** How far a port is moved at most. */
const REACH = 99;

/** `--ports auto`, else HYPR_PORTS: published ports that are taken move to the next free one. Throws HYPR_USAGE for another word. */
export const movesPorts = (flags: Flags, env: NodeJS.ProcessEnv): boolean =>
  (flags.choice('ports', PORT_MODES) ?? env.HYPR_PORTS) === 'auto';

/**
 * The model with each published port as the first of a range. A range is what the engine tries in order, and a replica keeps the port
 * it had; so a second copy of a stack finds ports beside the first one's and comes back to them.
 */
export const withMovablePorts = (project: Project): Project => ({
  ...project,
  services: Object.fromEntries(Object.entries(project.services).map(([name, service]) => [name, withRanges(service)])),
});

const withRanges = (service: Service): Service =>
  service.ports === undefined
    ? service
    : {
        ...service,
        ports: service.ports.map((port) => {
          const first = Number(port.published);
          return Number.isInteger(first) && first > 0 ? { ...port, published: `${first}-${Math.min(first + REACH, 65_535)}` } : port;
        }),
      };

/** A sentence for each port that was moved, and where it is now. `project` is the one of `withMovablePorts`. */
export const movedPorts = (project: Project, replicas: readonly ReplicaStatus[]): string[] =>
  replicas.filter(({ oneOff }) => oneOff !== true).flatMap((replica) => movedOf(project, replica));

const movedOf = (project: Project, { service, name, ports }: ReplicaStatus): string[] =>
  (project.services[service]?.ports ?? []).flatMap(({ published, target, protocol = 'tcp' }) => {
    const wanted = Number(published?.split('-')[0]);
    const now = ports.find((port) => port.port === target && port.protocol === protocol && inReach(port.hostPort, wanted));
    return now === undefined || now.hostPort === wanted ? [] : [`port ${wanted} is taken: ${name} is published at ${now.hostPort} instead`];
  });

const inReach = (port: number, wanted: number): boolean => port >= wanted && port <= wanted + REACH;
