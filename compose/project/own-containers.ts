import type { DependsCondition, Project, Service } from '../model/model.ts';

/**
 * The service whose container `container:NAME` names: by its `container_name`, or as the first replica (`shop-db-1`), as docker compose
 * names it. Undefined: any other text, and containers that are not of this project. Pure.
 */
export const serviceOfContainer = (project: Project, value: unknown): string | undefined => {
  const container = typeof value === 'string' ? /^container:(.+)$/s.exec(value)?.[1] : undefined;
  if (container === undefined) {
    return undefined;
  }
  const everyone = Object.entries({ ...project.disabledServices, ...project.services });
  return everyone.find(([name, { container_name: own }]) =>
    own === undefined ? SEPARATORS.some((separator) => [project.name, name, 1].join(separator) === container) : own === container,
  )?.[0];
};

/** The second is that of Compose v1 (`--compatibility`). */
const SEPARATORS = ['-', '_'] as const;

/**
 * The model in which who joins a container of this project depends on its service, as who writes `service:NAME` does: the container is
 * there first. Docker compose makes both at once, and whoever comes first decides. Of services whose profile is off, too: who names them
 * switches it on. Pure.
 */
export const dependOnContainers = (project: Project): Project => {
  const mapped = (services: Project['services'], known: Project['services']): Project['services'] =>
    Object.fromEntries(Object.entries(services).map(([name, service]) => [name, withDependencies(project, service, known)]));
  return {
    ...project,
    services: mapped(project.services, project.services),
    disabledServices: mapped(project.disabledServices, { ...project.disabledServices, ...project.services }),
  };
};

/** `known`: the services that it may depend on. */
const withDependencies = (project: Project, service: Service, known: Project['services']): Service => {
  const donors = Array.isArray(service.volumes_from) ? service.volumes_from.map((entry) => withoutMode(String(entry))) : [];
  const joined = [
    ...[service.network_mode, service.ipc].map((value) => ({ other: serviceOfContainer(project, value), restart: true })),
    ...donors.map((value) => ({ other: serviceOfContainer(project, value), restart: false })),
  ];
  const implied = joined.flatMap(({ other, restart }) =>
    other === undefined || known[other] === undefined
      ? []
      : [
          [
            other,
            {
              condition: 'service_started' as DependsCondition,
              // Another's profile may stay off.
              required: project.services[other] !== undefined,
              ...(restart ? { restart } : {}),
            },
          ] as const,
        ],
  );
  return implied.length === 0 ? service : { ...service, depends_on: { ...Object.fromEntries(implied), ...service.depends_on } };
};

/** An entry of `volumes_from` without `:ro` and `:rw`. */
export const withoutMode = (entry: string): string => entry.replace(/:r[ow]$/, '');
