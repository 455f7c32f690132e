import { HyprError } from '../../base/errors.ts';
import type { Project, Service } from '../model/model.ts';

type Services = Pick<Project, 'services' | 'disabledServices'>;

const PREFIX = 'service:';

/** The service an additional context refers to; undefined when it is something else. */
export const contextService = (value: string): string | undefined => (value.startsWith(PREFIX) ? value.slice(PREFIX.length) : undefined);

/** Services whose images a service's build reads: `additional_contexts: {x: service:NAME}`. Each once. */
export const contextServices = (service: Service | undefined): string[] => [
  ...new Set(Object.values(service?.build?.additional_contexts ?? {}).flatMap((value) => contextService(value) ?? [])),
];

/** A service that may be built. One that another build reads need not be requested, nor enabled. */
export const findBuildable = (project: Services, name: string): Service | undefined =>
  Object.hasOwn(project.services, name)
    ? project.services[name]
    : Object.hasOwn(project.disabledServices ?? {}, name)
      ? project.disabledServices[name]
      : undefined;

/** The named services and all services whose images their builds read, transitively. */
export const withContextServices = (project: Services, names: readonly string[]): Set<string> => {
  const found = new Set(names);
  for (const name of found) {
    for (const used of contextServices(findBuildable(project, name))) {
      found.add(used);
    }
  }
  return found;
};

/**
 * The named services in order, each after the services whose images its build reads; those are added when they are not
 * named.
 * @throws COMPOSE_INVALID for a cycle and for a service that does not exist
 */
export const orderBuilds = (project: Services, names: readonly string[]): string[] => {
  const ordered = new Set<string>();
  const open = new Set<string>();
  const visit = (name: string): void => {
    if (ordered.has(name)) {
      return;
    }
    if (open.has(name)) {
      const path = [...open];
      throw new HyprError('COMPOSE_INVALID', circleOfBuilds([...path.slice(path.indexOf(name)), name]));
    }
    open.add(name);
    for (const used of contextServices(findBuildable(project, name))) {
      if (findBuildable(project, used)?.build === undefined) {
        throw new HyprError('COMPOSE_INVALID', `service "${name}" uses the build of service "${used}", which is not built`);
      }
      visit(used);
    }
    open.delete(name);
    ordered.add(name);
  };
  for (const name of names) {
    visit(name);
  }
  return [...ordered];
};

/** The message for a cycle of builds; the first service is repeated at the end. */
export const circleOfBuilds = (names: readonly string[]): string => `the builds need one another in a circle: ${names.join(' → ')}`;
