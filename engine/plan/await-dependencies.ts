import { type Dependency, dependenciesOf } from '../resolve/dependencies.ts';
import type { Desired } from './desired-state.ts';
import type { ObservedStack } from './observe.ts';
import type { PlanBuilder } from './plan.ts';

interface Awaiting {
  readonly plan: PlanBuilder;
  readonly desired: Desired;
  readonly observed: ObservedStack;
  /** Service → the nodes after which this plan counts it as started. */
  readonly started: ReadonlyMap<string, readonly number[]>;
}

/** Plans what a service waits for before it starts; gives the nodes. */
export const awaitDependencies = (service: string, context: Awaiting): number[] =>
  dependenciesOf(context.desired.project, service)
    .filter((dependency) => isAwaited(service, dependency, context))
    .map((dependency) => awaitDependency(service, dependency, context));

/**
 * With --no-deps a dependency counts only if it exists; an optional one may be missing. What comes back on its network ran
 * before: it waits for what starts again with it.
 */
const isAwaited = (dependent: string, dependency: Dependency, { desired, observed, started }: Awaiting): boolean => {
  const starts = started.get(dependency.service);
  if (desired.services[dependent] === undefined) {
    return starts !== undefined && starts.length > 0;
  }
  return starts !== undefined || observed.replicas.some(({ service, oneOff }) => service === dependency.service && !oneOff);
};

const awaitDependency = (dependent: string, dependency: Dependency, { plan, started }: Awaiting): number => {
  const { service, condition, required } = dependency;
  return plan.add({ type: 'await', service, condition, required, dependent }, `${dependent} depends on it`, started.get(service) ?? []);
};
