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
  const ordered: string[] = [];
  const visiting = new Set<string>();
  const allowed = options.withDependencies ? undefined : new Set(wanted);
  const visit = (name: string): void => {
    if (ordered.includes(name) || project.services[name] === undefined) {
      return;
    }
    if (visiting.has(name)) {
      throw new HyprError('COMPOSE_INVALID', `services depend on each other in a circle: ${[...visiting, name].join(' -> ')}`);
    }
    visiting.add(name);
    for (const { service } of dependenciesOf(project, name).sort((a, b) => (a.service < b.service ? -1 : 1))) {
      visit(service);
    }
    visiting.delete(name);
    if (allowed === undefined || allowed.has(name)) {
      ordered.push(name);
    }
  };
  for (const name of [...wanted].sort()) {
    if (project.services[name] === undefined) {
      throw unknownService(project, name);
    }
    visit(name);
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
