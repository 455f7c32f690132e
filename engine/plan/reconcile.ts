import { hasMachine } from '../model/lifecycle.ts';
import type { UpOptions } from '../model/types.ts';
import { dependenciesOf, orderServices } from '../resolve/dependencies.ts';
import type { Desired, DesiredService } from './desired-state.ts';
import { keptReplicas } from './kept-replicas.ts';
import { type ObservedReplica, type ObservedStack, replicasOf } from './observe.ts';
import { freeNumbers, type Plan, PlanBuilder, targetOf } from './plan.ts';
import { findOrphans, removableOrphans, warnOfOrphans, warnOfServices, withDetached } from './reconcile-around.ts';
import { ResourcePlan } from './reconcile-resources.ts';
import { recreateCause } from './recreate-cause.ts';
import { ReplicaPlan } from './replica-plan.ts';

/**
 * Plans `up` (or `create`) from desired state, observed state and options. Pure: no I/O, no clock. Services are planned
 * dependencies first. A replica's boot does not wait for its dependencies, its start does.
 */
export const reconcile = (desired: Desired, observed: ObservedStack, options: UpOptions): Plan => {
  const context = new Reconciliation(desired, observed, options);
  return context.run();
};

class Reconciliation {
  readonly #plan = new PlanBuilder();
  readonly #resources: ResourcePlan;
  readonly #replicas: ReplicaPlan;
  readonly #recreated = new Set<string>();
  readonly #desired: Desired;
  readonly #observed: ObservedStack;
  readonly #options: UpOptions;

  constructor(desired: Desired, observed: ObservedStack, options: UpOptions) {
    this.#desired = desired;
    this.#observed = observed;
    this.#options = options;
    this.#replicas = new ReplicaPlan(this.#plan, desired, observed, options, (wanted) => this.#resources.nodesOf(wanted));
    const evict = (replica: ObservedReplica, cause: string): number => this.#replicas.evict(replica, cause);
    const detach = (replica: ObservedReplica, cause: string): number[] =>
      this.#replicas.detach(replica, cause, { back: 'its network changed' });
    this.#resources = new ResourcePlan({ plan: this.#plan, desired, observed, options, evict, detach });
  }

  run(): Plan {
    const services = orderServices(this.#desired.project, this.#options.services, { withDependencies: !this.#options.noDeps });
    warnOfServices(this.#plan, this.#desired.project, services);
    this.#resources.add(services);
    this.#joinMachines(services);
    const visited = new Set<string>();
    this.#visit(services, visited);
    // A machine that is replaced or starts again has stopped what runs in it, also services that this plan is not about.
    this.#visit(services, visited);
    this.#orphans();
    return this.#plan.build();
  }

  /** Plans the services and those that were stopped until now, each once. */
  #visit(services: readonly string[], visited: Set<string>): void {
    const detached = new Set([...this.#replicas.detached.keys()].map(({ service }) => service));
    for (const service of withDetached(this.#desired.project, services, { detached, removeOrphans: this.#options.removeOrphans })) {
      if (!visited.has(service)) {
        visited.add(service);
        this.#service(service);
      }
    }
  }

  /** What runs in the machine of another is made before that machine starts, which then has its disks: one that runs starts again. */
  #joinMachines(services: readonly string[]): void {
    for (const service of services) {
      const wanted = this.#desired.services[service];
      if (wanted?.shares === undefined || wanted.oneOff) {
        continue;
      }
      const existing = replicasOf(this.#observed, service);
      const stale = this.#keptOf(service, wanted).kept.flatMap((replica) => {
        const cause = this.#causeOf(service, wanted, replica);
        return cause === undefined ? [] : [{ replica, cause }];
      });
      const missing = freeNumbers(existing, Math.max(0, wanted.scale - existing.length));
      const owner = this.#observed.replicas.find(({ name }) => name === wanted.shares?.replica);
      if (owner !== undefined && stale.length + missing.length > 0 && !this.#options.noStart) {
        this.#replicas.detach(owner, `${service} joins its machine`);
      }
      const target = (number: number) => ({ replica: wanted.nameOf(number), service, number });
      for (const { replica, cause } of stale) {
        const isWhole = !this.#replicas.evicted.has(replica.name);
        this.#recreated.add(service);
        this.#replicas.create({
          target: target(replica.number),
          wanted,
          cause,
          after: [this.#replicas.evict(replica, cause, { isWhole })],
          isWhole,
        });
      }
      for (const number of missing) {
        this.#replicas.create({ target: target(number), wanted, cause: NO_REPLICA, after: [] });
      }
    }
  }

  #causeOf(service: string, wanted: DesiredService, replica: ObservedReplica): string | undefined {
    return this.#replicas.evicted.has(replica.name) ? 'its volume changed' : recreateCause(this.#options, service, wanted, replica);
  }

  /** What this plan is not about was stopped for a network only; what is removed for a volume stays away. */
  #reattach(service: string): void {
    const detached = [...this.#replicas.detached].filter(([replica]) => replica.service === service && !replica.oneOff);
    const starts = detached
      .filter(([replica]) => !this.#replicas.evicted.has(replica.name) && !this.#replicas.losesMachine(replica) && !this.#options.noStart)
      .flatMap(([replica, { node, cause }]) => {
        const networks = replica.spec.networks.map(({ key }) => key);
        return this.#replicas.start(targetOf(replica), cause, [node, ...this.#resources.nodesOf({ networks, volumes: [] })]);
      });
    if (starts.length > 0) {
      this.#replicas.setStarted(service, starts);
    }
  }

  #service(service: string): void {
    const wanted = this.#desired.services[service];
    if (wanted === undefined || wanted.oneOff) {
      this.#reattach(service);
    }
    if (wanted === undefined) {
      return;
    }
    if (wanted.oneOff) {
      this.#bootOneOff(service, wanted);
      return;
    }
    const existing = replicasOf(this.#observed, service);
    const { kept, surplus } = this.#keptOf(service, wanted);
    for (const replica of surplus) {
      this.#replicas.evict(replica, `scaled down to ${wanted.scale}`, { forGood: true });
    }
    const runs = kept.some(
      (replica) => replica.state === 'running' && !this.#replicas.evicted.has(replica.name) && !this.#isStale(service, wanted, replica),
    );
    if (runs) {
      this.#replicas.skipHooks(service);
    }
    const starts: number[] = [];
    for (const replica of kept) {
      starts.push(...this.#keepOrReplace(service, wanted, replica));
    }
    for (const number of freeNumbers(existing, wanted.scale - kept.length)) {
      starts.push(...this.#createReplica({ service, wanted, number, cause: NO_REPLICA, after: [] }));
    }
    this.#replicas.setStarted(service, starts);
  }

  #keepOrReplace(service: string, wanted: DesiredService, replica: ObservedReplica): number[] {
    const made = this.#replicas.created.get(replica.name);
    const cause = made?.cause ?? this.#causeOf(service, wanted, replica);
    if (cause !== undefined) {
      this.#recreated.add(service);
      const isWhole = !this.#replicas.evicted.has(replica.name);
      const removed = this.#replicas.evict(replica, cause, { isWhole });
      return this.#createReplica({ service, wanted, number: replica.number, cause, after: [removed], isWhole });
    }
    const detached = this.#replicas.detached.get(replica);
    if (detached !== undefined) {
      return this.#options.noStart
        ? []
        : this.#replicas.start(targetOf(replica), detached.cause, [detached.node, ...this.#resources.nodesOf(wanted)]);
    }
    if (replica.state === 'running') {
      const restarted = dependenciesOf(this.#desired.project, service).find((dep) => dep.restart && this.#recreated.has(dep.service));
      if (restarted === undefined) {
        return [];
      }
      const why = `${restarted.service} is replaced and restarts its dependents`;
      return this.#replicas.start(targetOf(replica), why, this.#replicas.detach(replica, why));
    }
    if (this.#options.noStart) {
      return [];
    }
    if (replica.state === 'paused') {
      return [this.#plan.add({ type: 'unpause', ...targetOf(replica) }, 'paused')];
    }
    if (replica.state === 'suspended') {
      return [this.#plan.add({ type: 'resume', ...targetOf(replica) }, 'suspended', this.#resources.nodesOf(wanted))];
    }
    const why = `it is ${replica.state}`;
    if (replica.state === 'stopping') {
      // By a stop whose supervisor was killed: the next one finishes it.
      return this.#replicas.start(targetOf(replica), why, this.#replicas.detach(replica, why));
    }
    return hasMachine(replica.state) ? [] : this.#replicas.start(targetOf(replica), why, this.#resources.nodesOf(wanted));
  }

  #keptOf(service: string, wanted: DesiredService): ReturnType<typeof keptReplicas> {
    const existing = replicasOf(this.#observed, service);
    return keptReplicas(existing, wanted.scale, (replica) => this.#isStale(service, wanted, replica));
  }

  #isStale(service: string, wanted: DesiredService, replica: ObservedReplica): boolean {
    return recreateCause(this.#options, service, wanted, replica) !== undefined;
  }

  #createReplica(input: {
    service: string;
    wanted: DesiredService;
    number: number;
    cause: string;
    after: number[];
    isWhole?: boolean;
  }): number[] {
    const { service, wanted, number, cause } = input;
    const target = { replica: wanted.nameOf(number), service, number };
    const created = this.#replicas.create({ ...input, target });
    return this.#options.noStart ? [created] : this.#replicas.start(target, cause, [created]);
  }

  #bootOneOff(service: string, wanted: DesiredService): void {
    const target = { replica: wanted.nameOf(1), service, number: 1 };
    const created = this.#plan.add({ type: 'create', ...target }, 'a one-off', this.#resources.nodesOf(wanted));
    this.#plan.add({ type: 'boot', ...target }, 'a one-off', [created, ...this.#replicas.machineNodes(target)]);
    this.#replicas.conditions(service);
  }

  #orphans(): void {
    const orphans = findOrphans(this.#desired.project, this.#observed);
    if (this.#options.removeOrphans) {
      const removable = removableOrphans(this.#plan, this.#observed, { orphans, evicted: this.#replicas.evicted });
      for (const orphan of removable) {
        this.#replicas.remove(orphan, 'its service is gone from the file');
      }
    } else if (orphans.length > 0 && !this.#options.ignoreOrphans) {
      warnOfOrphans(this.#plan, orphans);
    }
  }
}

const NO_REPLICA = 'no replica yet';
