import { HyprError } from '../../base/errors.ts';
import type { Project, Service } from '../../compose/model/model.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import type { CliContext } from './context.ts';
import type { Flags } from './flags.ts';
import { PORT_MODES } from './modes.ts';
import { settingOf } from './settings.ts';

type Port = NonNullable<Service['ports']>[number];

/** How far a port is moved at most. */
const REACH = 99;

/** `--ports auto`, else HYPR_PORTS, else the setting `ports`: published ports that are taken move to the next free one. Throws HYPR_USAGE for another word. */
export const movesPorts = (flags: Flags, { env, settings }: Pick<CliContext, 'env' | 'settings'>): boolean =>
  (flags.choice('ports', PORT_MODES) ?? envMode(env) ?? settingOf(settings, 'ports')) === 'auto';

const envMode = ({ HYPR_PORTS: word }: NodeJS.ProcessEnv): string | undefined => {
  if (word && !PORT_MODES.some((mode) => mode === word)) {
    throw new HyprError('HYPR_USAGE', `HYPR_PORTS does not know "${word}"`, { hint: `use one of: ${PORT_MODES.join(', ')}` });
  }
  return word || undefined;
};

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
          const first = fixedPort(port.published);
          return first === undefined ? port : { ...port, published: `${first}-${Math.min(first + REACH, 65_535)}` };
        }),
      };

/**
 * A sentence for each port that was moved, and where it is now. `project` is as it was loaded: a range of the file is no port that was
 * moved to, and of several replicas of a service only one can have its port.
 */
export const movedPorts = (project: Project, replicas: readonly ReplicaStatus[]): string[] =>
  Object.entries(project.services).flatMap(([name, { ports = [] }]) => {
    const ofService = replicas.filter(({ service, oneOff }) => service === name && oneOff !== true).sort((a, b) => a.number - b.number);
    return ports.flatMap((port) => movedOf(port, ofService));
  });

const movedOf = ({ published, target, protocol = 'tcp' }: Port, replicas: readonly ReplicaStatus[]): string[] => {
  const wanted = fixedPort(published);
  const now = replicas.flatMap(({ name, ports }) =>
    ports.filter((port) => port.port === target && port.protocol === protocol).map(({ hostPort }) => ({ name, hostPort })),
  );
  if (wanted === undefined || now.some(({ hostPort }) => hostPort === wanted)) {
    return [];
  }
  const moved = now.find(({ hostPort }) => hostPort > wanted && hostPort <= wanted + REACH);
  return moved === undefined ? [] : [`port ${wanted} is taken: ${moved.name} is published at ${moved.hostPort} instead`];
};

/** A port that is one number; undefined for a range and for any free one. */
const fixedPort = (published: string | undefined): number | undefined => {
  const port = Number(published);
  return Number.isInteger(port) && port > 0 ? port : undefined;
};
