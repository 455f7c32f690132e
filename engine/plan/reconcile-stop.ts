import type { Project } from '../../compose/model/model.ts';
import { hasMachine, needsStop } from '../model/lifecycle.ts';
import { dependenciesOf } from '../resolve/dependencies.ts';
import { membersOf, type ObservedReplica, type ObservedStack } from './observe.ts';
import { type Plan, PlanBuilder, targetOf } from './plan.ts';

export interface StopGoal {
  /** The model the stack was brought up with; undefined when it is no longer known. */
  readonly project: Project | undefined;
  /** Empty: every replica of the stack. */
  readonly services: readonly string[];
  /** Only the replicas of these names, one-offs too. */
  readonly replicas?: readonly string[];
  readonly timeout: number | undefined;
  /** Also remove the replicas. */
  readonly remove: boolean;
  /** And their anonymous volumes, which stay otherwise. */
  readonly removeAnonymous: boolean;
  /** `rm` without -s leaves running ones alone. */
  readonly onlyStopped: boolean;
  readonly includeOrphans: boolean;
  /** Say that stopped ones are stopped, as docker does. */
  readonly saysStopped?: boolean;
  readonly includeOneOffs: boolean;
  /** Networks, named volumes and references of images to remove at the end. */
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
  readonly images: readonly string[];
  readonly cause: string;
}

/** The plan of `stop`, `down` and `rm`: dependents before what they depend on. Pure. */
export const reconcileStop = (goal: StopGoal, observed: ObservedStack): Plan => {
  const plan = new PlanBuilder();
  const chosen = observed.replicas.filter((replica) => isChosen(goal, replica));
  // What runs in a machine that ends is stopped before, as if it depended on it.
  const joined = chosen
    .flatMap(({ name }) => membersOf(observed, name))
    .filter((member) => !chosen.includes(member) && needsStop(member.state));
  const members = new Map(
    [...new Set(joined)].map((member) => [
      member,
      plan.add({ type: 'stop', ...targetOf(member), timeout: goal.timeout }, `it shares the machine of ${member.spec.shares?.replica}`),
    ]),
  );
  const joinedTo = (owner: string): number[] => [...members].flatMap(([{ spec }, node]) => (spec.shares?.replica === owner ? [node] : []));
  const ends = new Map<string, number[]>();
  for (const service of dependentsFirst(goal.project, new Set(chosen.map((replica) => replica.service)))) {
    const after = dependentsIn(goal.project, service, ends);
    ends.set(
      service,
      chosen
        .filter((replica) => replica.service === service)
        .flatMap((replica) => endReplica({ plan, goal, replica, after: [...after, ...joinedTo(replica.name)] })),
    );
  }
  const all = [...ends.values()].flat();
  const networks = goal.networks.map((network) => plan.add({ type: 'remove-network', network }, goal.cause, all));
  for (const volume of goal.volumes) {
    plan.add({ type: 'remove-volume', volume }, 'asked to remove volumes', [...all, ...networks]);
  }
  for (const image of goal.images) {
    plan.add({ type: 'remove-image', image }, 'asked to remove images', all);
  }
  return plan.build();
};

const isChosen = (goal: StopGoal, replica: ObservedReplica): boolean => {
  if (goal.replicas !== undefined && goal.replicas.length > 0) {
    return goal.replicas.includes(replica.name) && !(goal.onlyStopped && holdsMemory(replica));
  }
  if (goal.services.length > 0) {
    return goal.services.includes(replica.service) && !replica.oneOff && !(goal.onlyStopped && holdsMemory(replica));
  }
  const known =
    goal.project === undefined ||
    goal.project.services[replica.service] !== undefined ||
    goal.project.disabledServices[replica.service] !== undefined;
  return (known || goal.includeOrphans) && (!replica.oneOff || goal.includeOneOffs) && !(goal.onlyStopped && holdsMemory(replica));
};

const hasEnded = ({ state }: ObservedReplica): boolean => state === 'exited' || state === 'dead';

const holdsMemory = ({ state }: ObservedReplica): boolean => hasMachine(state) || state === 'suspended';

const endReplica = (input: { plan: PlanBuilder; goal: StopGoal; replica: ObservedReplica; after: readonly number[] }): number[] => {
  const { plan, goal, replica, after } = input;
  const stopped =
    needsStop(replica.state) || (goal.saysStopped === true && hasEnded(replica))
      ? [plan.add({ type: 'stop', ...targetOf(replica), timeout: goal.timeout, ...hooksOf(goal, replica) }, goal.cause, after)]
      : [];
  if (!goal.remove) {
    return stopped;
  }
  // Who asked for `--rm` asked for that, too.
  const volumes = goal.removeAnonymous || replica.spec.autoRemove !== undefined ? 'remove' : 'keep';
  return [plan.add({ type: 'remove', ...targetOf(replica), volumes }, goal.cause, stopped.length > 0 ? stopped : after)];
};

/** `docker stop` of a one-off runs no hooks, `compose down` does. */
const hooksOf = (goal: StopGoal, replica: ObservedReplica): { oneOffHooks?: true } =>
  replica.oneOff && goal.includeOneOffs ? { oneOffHooks: true } : {};

/** Services ordered so that dependents come before what they depend on. */
const dependentsFirst = (project: Project | undefined, services: ReadonlySet<string>): string[] => {
  const ordered: string[] = [];
  const visit = (service: string): void => {
    if (ordered.includes(service)) {
      return;
    }
    for (const other of [...services].sort()) {
      if (other !== service && project !== undefined && dependenciesOf(project, other).some((dep) => dep.service === service)) {
        visit(other);
      }
    }
    ordered.push(service);
  };
  for (const service of [...services].sort()) {
    visit(service);
  }
  return ordered;
};

const dependentsIn = (project: Project | undefined, service: string, ends: ReadonlyMap<string, number[]>): number[] =>
  project === undefined
    ? []
    : [...ends].flatMap(([other, nodes]) => (dependenciesOf(project, other).some((dep) => dep.service === service) ? nodes : []));
