import type { Project } from '../../compose/model/model.ts';
import { needsStop } from '../model/lifecycle.ts';
import { orderServices } from '../resolve/dependencies.ts';
import { serviceNotices } from '../resolve/service-notices.ts';
import { membersOf, type ObservedReplica, type ObservedStack } from './observe.ts';
import type { PlanBuilder } from './plan.ts';

/** What there is to say about the services of a plan. */
export const warnOfServices = (plan: PlanBuilder, project: Project, services: readonly string[]): void => {
  for (const notice of serviceNotices(project, services)) {
    plan.warn(notice);
  }
};

/** Replicas of services that the file no longer has. One-offs only once they have ended, as in docker compose. */
export const findOrphans = (project: Project, observed: ObservedStack): ObservedReplica[] => {
  const known = new Set([...Object.keys(project.services), ...Object.keys(project.disabledServices)]);
  return observed.replicas.filter(({ oneOff, service, state }) => (oneOff ? state === 'exited' || state === 'dead' : !known.has(service)));
};

export const warnOfOrphans = (plan: PlanBuilder, orphans: readonly ObservedReplica[]): void => {
  plan.warn(
    `Found orphan containers ([${orphans.map((orphan) => orphan.name).join(' ')}]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.`,
  );
};

/**
 * The orphans without those in whose machine a replica runs that this plan neither replaces nor removes: it would stop, and could not
 * start again. Those stay, with a warning that says what to do.
 */
export const removableOrphans = (
  plan: PlanBuilder,
  observed: ObservedStack,
  { orphans, evicted }: { readonly orphans: readonly ObservedReplica[]; readonly evicted: ReadonlyMap<string, unknown> },
): ObservedReplica[] =>
  orphans.filter((orphan) => {
    const dependents = membersOf(observed, orphan.name).filter(
      (member) => needsStop(member.state) && !evicted.has(member.name) && !orphans.includes(member),
    );
    if (dependents.length > 0) {
      const names = dependents.map(({ name }) => name).join(', ');
      const services = [...new Set(dependents.map(({ service }) => service))].join(' ');
      plan.warn(
        `${orphan.name} is left: its machine runs ${names} too, which this command is not about. To remove it: up --remove-orphans ${services}`,
      );
    }
    return dependents.length === 0;
  });

/** The services of the plan, and those with replicas that it stops and starts again: dependencies first, what the file no longer has last. */
export const withDetached = (
  project: Project,
  services: readonly string[],
  { detached, removeOrphans }: { readonly detached: ReadonlySet<string>; readonly removeOrphans: boolean },
): readonly string[] => {
  const others = [...detached].filter((service) => !services.includes(service));
  if (others.length === 0) {
    return services;
  }
  const known = others.filter((service) => project.services[service] !== undefined);
  const gone = others.filter((service) => project.services[service] === undefined);
  const isRemoved = (service: string): boolean => removeOrphans && project.disabledServices[service] === undefined;
  return [
    ...orderServices(project, [...services, ...known], { withDependencies: false }),
    ...gone.filter((service) => !isRemoved(service)),
  ];
};
