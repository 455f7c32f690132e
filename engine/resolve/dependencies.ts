import { HyprError } from '../../base/errors.ts';
import type { DependsCondition, Project } from '../../compose/model/model.ts';

export interface Dependency {
  readonly service: string;
  readonly condition: DependsCondition;
  readonly required: boolean;
  readonly restart: boolean;
}

export const dependenciesOf = (project: Project, service: string): Dependency[] =>
  Object.entries(project.services[service]?.depends_on ?? {}).map(([name, value]) => ({
    service: name,
    condition: value.condition,
    required: value.required,
    restart: value.restart ?? false,
  }));

/** The named services (all if none) with everything they need: dependencies first, otherwise by name. */
export const orderServices = (project: Project, names: readonly string[], options: { withDependencies: boolean }): string[] => {
  const wanted = names.length === 0 ? Object.keys(project.services) : names;
  for (const name of wanted) {
    if (project.services[name] === undefined) {
      throw unknownService(project, name);
    }
  }
  const allowed = options.withDependencies ? undefined : new Set(wanted);
  const ordered = [...wanted].sort().reduce((known, name) => visit(project, name, known), new Set<string>());
  return [...ordered].filter((name) => allowed === undefined || allowed.has(name));
};

/** Adds a service to those ordered so far, after what it needs. Without recursion: a chain can be as long as a file. */
const visit = (project: Project, first: string, ordered: Set<string>): Set<string> => {
  const path: string[] = [];
  // What is still to be looked at, and, as undefined, where what was looked at last is done.
  const open: Array<string | undefined> = [first];
  const visiting = new Set<string>();
  while (open.length > 0) {
    const name = open.pop();
    if (name === undefined) {
      const done = path.pop() as string;
      visiting.delete(done);
      ordered.add(done);
    } else if (visiting.has(name)) {
      throw new HyprError('COMPOSE_INVALID', `services depend on each other in a circle: ${[...path, name].join(' -> ')}`);
    } else if (!ordered.has(name) && project.services[name] !== undefined) {
      path.push(name);
      visiting.add(name);
      open.push(
        undefined,
        ...dependenciesOf(project, name)
          .map(({ service }) => service)
          .sort()
          .reverse(),
      );
    }
  }
  return ordered;
};

export const unknownService = (project: Project, name: string): HyprError => {
  const profiles = project.disabledServices[name]?.profiles;
  return new HyprError('COMPOSE_NO_SERVICE', `no such service: ${name}`, {
    hint: profiles
      ? `it is in the profile ${profiles.join(', ')}: add --profile ${profiles[0]}`
      : `the services are: ${Object.keys(project.services).sort().join(', ')}`,
  });
};

/** The services that directly depend on `service`. */
export const dependentsOf = (project: Project, service: string): string[] =>
  Object.keys(project.services).filter((name) => project.services[name]?.depends_on?.[service] !== undefined);
