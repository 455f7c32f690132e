import { constants } from 'node:os';
import { HyprError } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import { hasMachine, needsStop } from '../model/lifecycle.ts';
import { signalNumber } from '../model/signals.ts';
import type { ServiceVerb, VerbOptions } from '../model/types.ts';
import { dependenciesOf, dependentsOf, orderServices, unknownService } from '../resolve/dependencies.ts';
import { membersOf, type ObservedReplica, type ObservedStack } from './observe.ts';
import { type Plan, PlanBuilder, targetOf } from './plan.ts';
import { reconcileStop } from './reconcile-stop.ts';

export interface VerbGoal {
  readonly verb: ServiceVerb;
  readonly project: Project | undefined;
  readonly options: VerbOptions;
}

/** Plans a verb on existing replicas. Only suspend and resume, which act on whole stacks, include one-offs. Pure. */
export const reconcileVerb = (goal: VerbGoal, observed: ObservedStack): Plan => {
  const { verb, options, project } = goal;
  for (const service of options.services) {
    if (
      project !== undefined &&
      project.services[service] === undefined &&
      !observed.replicas.some((replica) => replica.service === service)
    ) {
      throw unknownService(project, service);
    }
  }
  const chosen = observed.replicas.filter((replica) =>
    options.replicas.length > 0
      ? options.replicas.includes(replica.name)
      : !replica.oneOff && (options.services.length === 0 || options.services.includes(replica.service)),
  );
  switch (verb) {
    case 'start':
      return planStart(project, options, observed);
    case 'restart':
      return planRestart(goal, chosen, observed);
    case 'stop':
    case 'rm':
      return reconcileStop(stopGoal(goal), observed);
    case 'kill':
      return planKill(chosen, signalNumber(options.signal ?? 'SIGKILL'));
    case 'pause':
      refusePaused(chosen);
      refuseSharing(chosen, observed, 'pause');
      return planEach(
        chosen.filter((replica) => replica.state === 'running'),
        (replica) => ({ type: 'pause', ...targetOf(replica) }),
        'asked to pause',
      );
    case 'unpause':
      return planEach(
        chosen.filter((replica) => replica.state === 'paused'),
        (replica) => ({ type: 'unpause', ...targetOf(replica) }),
        'asked to unpause',
      );
    case 'suspend':
      refuseSharing(observed.replicas, observed, 'suspend');
      return planSuspend(observed);
    case 'resume':
      return planEach(
        observed.replicas.filter((replica) => replica.state === 'suspended'),
        (replica) => ({ type: 'resume', ...targetOf(replica) }),
        'asked to resume',
      );
  }
};

/** docker refuses to pause what is paused. */
const refusePaused = (chosen: readonly ObservedReplica[]): void => {
  const paused = chosen.find(({ state }) => state === 'paused');
  if (paused !== undefined) {
    throw new HyprError('HYPR_USAGE', `container ${paused.name} is already paused`, { hint: 'let it go on: hypr unpause' });
  }
};

/** A machine is paused and suspended as a whole, which would stop the others in it as well. */
const refuseSharing = (chosen: readonly ObservedReplica[], observed: ObservedStack, verb: string): void => {
  const member = chosen.find(({ spec }) => spec.shares !== undefined) ?? chosen.flatMap(({ name }) => membersOf(observed, name))[0];
  if (member !== undefined) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `${verb} is not supported: ${member.name} runs in the machine of ${member.spec.shares?.replica}, and neither is ${verb}d by itself`,
      { hint: `stop them instead: hypr stop ${member.spec.shares?.service} ${member.service}` },
    );
  }
};

/**
 * Pauses all replicas before saving the first, and saves all before ending the first, so that the stack is saved at one
 * moment or not at all.
 */
const planSuspend = (observed: ObservedStack): Plan => {
  const cause = 'asked to suspend';
  const plan = new PlanBuilder();
  const running = observed.replicas.filter(({ state }) => state === 'running');
  const chosen = observed.replicas.filter(({ state }) => state === 'running' || state === 'paused');
  for (const replica of observed.replicas.filter(({ state }) => state === 'restarting')) {
    plan.add({ type: 'stop', ...targetOf(replica), timeout: undefined }, 'it waits for a restart');
  }
  const paused = running.map((replica) => plan.add({ type: 'pause', ...targetOf(replica) }, cause));
  const saved = chosen.map((replica) => plan.add({ type: 'save', ...targetOf(replica) }, cause, paused));
  if (chosen.length === 0) {
    plan.warn('nothing of this stack runs: there is nothing to suspend');
  }
  for (const replica of chosen) {
    plan.add({ type: 'suspend', ...targetOf(replica), paused: replica.state === 'paused' }, cause, saved);
  }
  return plan.build();
};

/** SIGKILL also cancels a pending restart. */
const planKill = (chosen: readonly ObservedReplica[], signal: number): Plan =>
  planEach(
    chosen.filter((replica) => hasMachine(replica.state) || (signal === SIGKILL && replica.state === 'restarting')),
    (replica) => ({ type: 'kill', ...targetOf(replica), signal }),
    'asked to kill',
  );

const { SIGKILL } = constants.signals;

const stopGoal = ({ verb, project, options }: VerbGoal) => ({
  project,
  services: options.services,
  replicas: options.replicas,
  timeout: options.timeout,
  remove: verb === 'rm',
  removeAnonymous: options.volumes,
  onlyStopped: verb === 'rm' && !options.stop,
  // Without names: what the file has, where there is one.
  includeOrphans: project === undefined,
  saysStopped: verb === 'stop',
  includeOneOffs: false,
  networks: [],
  volumes: [],
  images: [],
  cause: `asked to ${verb === 'rm' ? 'remove' : 'stop'}`,
});

const planEach = (
  replicas: readonly ObservedReplica[],
  operation: (replica: ObservedReplica) => Parameters<PlanBuilder['add']>[0],
  cause: string,
): Plan => {
  const plan = new PlanBuilder();
  for (const replica of replicas) {
    plan.add(operation(replica), cause);
  }
  return plan.build();
};

/** Starts existing replicas, dependencies first; creates nothing. */
const planStart = (project: Project | undefined, options: VerbOptions, observed: ObservedStack): Plan => {
  const { services, replicas: named } = options;
  const isChosen = ({ name, oneOff }: ObservedReplica): boolean => (named.length > 0 ? named.includes(name) : !oneOff);
  if (observed.replicas.length === 0) {
    throw new HyprError('STACK_NOT_RUNNING', `no container found for project${project ? ` "${project.name}"` : ''}: not found`, {
      hint: 'create the stack first: hypr compose up',
    });
  }
  const plan = new PlanBuilder();
  const order =
    project === undefined
      ? [...new Set(observed.replicas.map((replica) => replica.service))]
      : orderServices(project, services, { withDependencies: true });
  const started = new Map<string, number[]>();
  for (const service of order) {
    const nodes: number[] = [];
    for (const replica of observed.replicas.filter((candidate) => candidate.service === service && isChosen(candidate))) {
      if (replica.state === 'suspended') {
        nodes.push(plan.add({ type: 'resume', ...targetOf(replica) }, 'suspended'));
      } else if (replica.state === 'stopping') {
        // By a stop whose supervisor was killed: the next one finishes it.
        const stopped = plan.add({ type: 'stop', ...targetOf(replica), timeout: undefined }, 'it is stopping');
        nodes.push(addStart({ plan, project, replica, started, cause: 'asked to start', after: [stopped] }));
      } else if (!hasMachine(replica.state) && replica.state !== 'restarting') {
        nodes.push(addStart({ plan, project, replica, started, cause: 'asked to start', after: [] }));
      }
    }
    started.set(service, nodes);
  }
  return plan.build();
};

interface AddStart {
  readonly plan: PlanBuilder;
  readonly project: Project | undefined;
  readonly replica: ObservedReplica;
  readonly started: ReadonlyMap<string, readonly number[]>;
  readonly cause: string;
  readonly after: readonly number[];
}

const addStart = ({ plan, project, replica, started, cause, after }: AddStart): number => {
  const machine = started.get(replica.spec.shares?.service ?? '') ?? [];
  const booted = plan.add({ type: 'boot', ...targetOf(replica) }, cause, [...after, ...machine]);
  const awaited = (project === undefined ? [] : dependenciesOf(project, replica.service))
    .filter((dependency) => started.has(dependency.service))
    .map(({ service, condition, required }) =>
      plan.add(
        { type: 'await', service, condition, required, dependent: replica.service },
        `${replica.service} depends on it`,
        started.get(service),
      ),
    );
  return plan.add({ type: 'start', ...targetOf(replica) }, cause, [booted, ...awaited]);
};

const RESTART = 'asked to restart';

/**
 * Stops and starts the named services, and those that declare `depends_on … restart: true` on them. As in docker compose a
 * service is stopped only once the conditions of its dependencies hold: when one fails, the service goes on running.
 */
const planRestart = ({ project, options }: VerbGoal, chosen: readonly ObservedReplica[], observed: ObservedStack): Plan => {
  const plan = new PlanBuilder();
  const started = new Map<string, number[]>();
  const stopped = new Map<string, number[]>();
  const stop = (replica: ObservedReplica, after: readonly number[]): number[] => {
    const operation = { type: 'stop', ...targetOf(replica), timeout: options.timeout, part: { of: 'restart', is: 'begin' } } as const;
    const nodes = stopped.get(replica.name) ?? (needsStop(replica.state) ? [plan.add(operation, RESTART, after)] : []);
    stopped.set(replica.name, nodes);
    return nodes;
  };
  const together = [...chosen, ...chosen.flatMap(({ name }) => membersOf(observed, name))];
  for (const service of restartOrder(project, together, options.noDeps)) {
    const awaited = (options.noDeps ? [] : neededBy(project, service)).flatMap(({ service: needed, condition, required }) => {
      const after = started.get(needed);
      const node = { type: 'await', service: needed, condition, required, dependent: service } as const;
      return after === undefined ? [] : [{ condition, node: plan.add(node, `${service} depends on it`, after) }];
    });
    // What only has to be started is waited for by the workload's start.
    const holding = awaited.filter(({ condition }) => condition !== 'service_started').map(({ node }) => node);
    const before = awaited.map(({ node }) => node);
    const nodes = observed.replicas
      .filter((replica) => replica.service === service && !replica.oneOff)
      .map((replica) => {
        // What runs in its machine is restarted with it (restartOrder), and stops first.
        const members = membersOf(observed, replica.name).flatMap((member) => stop(member, holding));
        const ended = stop(replica, [...holding, ...members]);
        const machine = started.get(replica.spec.shares?.service ?? '') ?? [];
        const booted = plan.add({ type: 'boot', ...targetOf(replica) }, RESTART, [...(ended.length > 0 ? ended : holding), ...machine]);
        return plan.add({ type: 'start', ...targetOf(replica), part: { of: 'restart', is: 'end' } }, RESTART, [booted, ...before]);
      });
    started.set(service, nodes);
  }
  return plan.build();
};

const neededBy = (project: Project | undefined, service: string) => (project === undefined ? [] : dependenciesOf(project, service));

/** What is restarted, dependencies first; what the file no longer has comes last. */
const restartOrder = (project: Project | undefined, chosen: readonly ObservedReplica[], noDeps: boolean): string[] => {
  const services = new Set(chosen.map((replica) => replica.service));
  if (project === undefined) {
    return [...services];
  }
  if (!noDeps) {
    for (const service of [...services]) {
      for (const dependent of dependentsOf(project, service)) {
        if (project.services[dependent]?.depends_on?.[service]?.restart === true) {
          services.add(dependent);
        }
      }
    }
  }
  const order = orderServices(project, [], { withDependencies: true }).filter((service) => services.has(service));
  return [...order, ...[...services].filter((name) => !order.includes(name))];
};
