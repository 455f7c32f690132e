import { hasMachine, needsStop } from '../model/lifecycle.ts';
import type { UpOptions } from '../model/types.ts';
import { dependenciesOf, orderServices } from '../resolve/dependencies.ts';
import { awaitDependencies } from './await-dependencies.ts';
import type { Desired, DesiredService } from './desired-state.ts';
import { keptReplicas } from './kept-replicas.ts';
import { membersOf, type ObservedReplica, type ObservedStack, replicasOf } from './observe.ts';
import { freeNumbers, type Plan, PlanBuilder, partOf, type ReplicaTarget, targetOf } from './plan.ts';
import { findOrphans, warnOfOrphans, warnOfServices, withDetached } from './reconcile-around.ts';
import { ResourcePlan } from './reconcile-resources.ts';
import { recreateCause } from './recreate-cause.ts';

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
  /** Service → the nodes after which this plan counts it as started. */
  readonly #started = new Map<string, number[]>();
  readonly #recreated = new Set<string>();
  /** Services of which a replica runs already: their hooks have run. */
  readonly #skipsHooks = new Set<string>();
  /** Service → the node of its last `pre_start` hook. */
  readonly #hooked = new Map<string, number>();
  /** Replicas removed early because one of their volumes is replaced → the node that removes them. */
  readonly #evicted = new Map<string, number>();
  /** Replicas stopped because one of their networks is replaced, or with the machine they run in → the node that stops them. */
  readonly #detached = new Map<ObservedReplica, { readonly node: number; readonly cause: string }>();
  /** Replicas that this plan makes → the node that does. */
  readonly #created = new Map<string, { readonly node: number; readonly cause: string; readonly owner: string | undefined }>();
  readonly #desired: Desired;
  readonly #observed: ObservedStack;
  readonly #options: UpOptions;

  constructor(desired: Desired, observed: ObservedStack, options: UpOptions) {
    this.#desired = desired;
    this.#observed = observed;
    this.#options = options;
    const evict = (replica: ObservedReplica, cause: string): number => this.#evict(replica, cause);
    const detach = (replica: ObservedReplica, cause: string): number[] => this.#detach(replica, cause, { back: 'its network changed' });
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
    const detached = new Set([...this.#detached.keys()].map(({ service }) => service));
    for (const service of withDetached(this.#desired.project, services, { detached, removeOrphans: this.#options.removeOrphans })) {
      if (!visited.has(service)) {
        visited.add(service);
        this.#service(service);
      }
    }
  }

  /** `isWhole`: removal and creation are shown as one thing. */
  #evict(replica: ObservedReplica, cause: string, isWhole = false): number {
    const known = this.#evicted.get(replica.name);
    const node = known ?? this.#removeReplica(replica, cause, { keepVolumes: !this.#options.renewAnonVolumes, isWhole });
    this.#evicted.set(replica.name, node);
    return node;
  }

  /**
   * Keeps the machine's disks: it gets addresses of the new network when it is started again. What runs in its machine is stopped
   * first, and starts again with it.
   */
  #detach(replica: ObservedReplica, cause: string, { isWhole = false, back = cause } = {}): number[] {
    if (!needsStop(replica.state)) {
      return [];
    }
    const known = this.#detached.get(replica);
    if (known !== undefined) {
      return [known.node];
    }
    const before = membersOf(this.#observed, replica.name).flatMap((member) =>
      this.#detach(member, `it shares the machine of ${replica.name}`),
    );
    const stop = { type: 'stop', ...targetOf(replica), timeout: this.#options.timeout, ...partOf(isWhole, 'begin') } as const;
    const node = this.#plan.add(stop, cause, before);
    this.#detached.set(replica, { node, cause: back });
    return [node];
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
        this.#detach(owner, `${service} joins its machine`);
      }
      const target = (number: number) => ({ replica: wanted.nameOf(number), service, number });
      for (const { replica, cause } of stale) {
        const isWhole = !this.#evicted.has(replica.name);
        this.#recreated.add(service);
        this.#create({ target: target(replica.number), wanted, cause, after: [this.#evict(replica, cause, isWhole)], isWhole });
      }
      for (const number of missing) {
        this.#create({ target: target(number), wanted, cause: NO_REPLICA, after: [] });
      }
    }
  }

  #causeOf(service: string, wanted: DesiredService, replica: ObservedReplica): string | undefined {
    return this.#evicted.has(replica.name) ? 'its volume changed' : recreateCause(this.#options, service, wanted, replica);
  }

  /** What this plan is not about was stopped for a network only; what is removed for a volume stays away. */
  #reattach(service: string): void {
    const detached = [...this.#detached].filter(([replica]) => replica.service === service && !replica.oneOff);
    const starts = detached
      .filter(([replica]) => !this.#evicted.has(replica.name) && !this.#losesMachine(replica) && !this.#options.noStart)
      .flatMap(([replica, { node, cause }]) => {
        const networks = replica.spec.networks.map(({ key }) => key);
        return this.#startReplica(targetOf(replica), cause, [node, ...this.#resources.nodesOf({ networks, volumes: [] })]);
      });
    if (starts.length > 0) {
      this.#started.set(service, starts);
    }
  }

  /** The machine that it runs in goes, and no new one comes. */
  #losesMachine({ spec }: ObservedReplica): boolean {
    return spec.shares !== undefined && this.#evicted.has(spec.shares.replica) && !this.#created.has(spec.shares.replica);
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
      this.#evict(replica, `scaled down to ${wanted.scale}`);
    }
    const runs = kept.some(
      (replica) => replica.state === 'running' && !this.#evicted.has(replica.name) && !this.#isStale(service, wanted, replica),
    );
    if (runs) {
      this.#skipsHooks.add(service);
    }
    const starts: number[] = [];
    for (const replica of kept) {
      starts.push(...this.#keepOrReplace(service, wanted, replica));
    }
    for (const number of freeNumbers(existing, wanted.scale - kept.length)) {
      starts.push(...this.#createReplica({ service, wanted, number, cause: NO_REPLICA, after: [] }));
    }
    this.#started.set(service, starts);
  }

  #keepOrReplace(service: string, wanted: DesiredService, replica: ObservedReplica): number[] {
    const made = this.#created.get(replica.name);
    const cause = made?.cause ?? this.#causeOf(service, wanted, replica);
    if (cause !== undefined) {
      this.#recreated.add(service);
      const isWhole = !this.#evicted.has(replica.name);
      const removed = this.#evict(replica, cause, isWhole);
      return this.#createReplica({ service, wanted, number: replica.number, cause, after: [removed], isWhole });
    }
    const detached = this.#detached.get(replica);
    if (detached !== undefined) {
      return this.#options.noStart
        ? []
        : this.#startReplica(targetOf(replica), detached.cause, [detached.node, ...this.#resources.nodesOf(wanted)]);
    }
    if (replica.state === 'running') {
      const restarted = dependenciesOf(this.#desired.project, service).find((dep) => dep.restart && this.#recreated.has(dep.service));
      if (restarted === undefined) {
        return [];
      }
      const why = `${restarted.service} is replaced and restarts its dependents`;
      return this.#startReplica(targetOf(replica), why, this.#detach(replica, why));
    }
    if (replica.state === 'paused') {
      return [this.#plan.add({ type: 'unpause', ...targetOf(replica) }, 'paused')];
    }
    if (replica.state === 'suspended' && !this.#options.noStart) {
      return [this.#plan.add({ type: 'resume', ...targetOf(replica) }, 'suspended', this.#resources.nodesOf(wanted))];
    }
    return this.#options.noStart || hasMachine(replica.state)
      ? []
      : this.#startReplica(targetOf(replica), `it is ${replica.state}`, this.#resources.nodesOf(wanted));
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
    const created = this.#create({ ...input, target });
    return this.#options.noStart ? [created] : this.#startReplica(target, cause, [created]);
  }

  #create(input: { target: ReplicaTarget; wanted: DesiredService; cause: string; after: number[]; isWhole?: boolean }): number {
    const { target, wanted, cause, after, isWhole } = input;
    const known = this.#created.get(target.replica);
    if (known !== undefined) {
      return known.node;
    }
    const resources = this.#resources.nodesOf(wanted);
    const node = this.#plan.add({ type: 'create', ...target, ...partOf(isWhole, 'end') }, cause, [...after, ...resources]);
    this.#created.set(target.replica, { node, cause, owner: wanted.shares?.replica });
    return node;
  }

  #startReplica(target: ReplicaTarget, cause: string, after: readonly number[]): number[] {
    const hooked = this.#preStart(target, after);
    const machine = this.#machineNodes(target);
    const booted = this.#plan.add({ type: 'boot', ...target }, cause, [...after, ...machine, ...(hooked === undefined ? [] : [hooked])]);
    return [this.#plan.add({ type: 'start', ...target }, cause, [booted, ...this.#conditions(target.service)])];
  }

  /** A machine starts once those exist that run in it; they are prepared once its own service has started. */
  #machineNodes({ replica, service }: ReplicaTarget): number[] {
    const shares = this.#desired.services[service]?.shares ?? this.#observed.replicas.find(({ name }) => name === replica)?.spec.shares;
    const made = [...this.#created.values()].filter(({ owner }) => owner === replica).map(({ node }) => node);
    return [...made, ...(shares === undefined ? [] : (this.#started.get(shares.service) ?? []))];
  }

  /** Its hooks one after the other, once for the service, when the first of its replicas starts; gives the last one's node. */
  #preStart({ service, number }: ReplicaTarget, after: readonly number[]): number | undefined {
    const hooks = this.#desired.services[service]?.preStart ?? [];
    if (hooks.length === 0 || this.#skipsHooks.has(service)) {
      return undefined;
    }
    const planned = this.#hooked.get(service);
    if (planned !== undefined) {
      return planned;
    }
    let last: readonly number[] = [...after, ...this.#conditions(service)];
    for (const { key, index, replica } of hooks) {
      last = [this.#plan.add({ type: 'pre-start', service, number, replica, index, key }, 'before the service starts', last)];
    }
    this.#hooked.set(service, last[0] as number);
    return last[0];
  }

  #bootOneOff(service: string, wanted: DesiredService): void {
    const target = { replica: wanted.nameOf(1), service, number: 1 };
    const created = this.#plan.add({ type: 'create', ...target }, 'a one-off', this.#resources.nodesOf(wanted));
    this.#plan.add({ type: 'boot', ...target }, 'a one-off', [created]);
    this.#conditions(service);
  }

  #conditions(service: string): number[] {
    return awaitDependencies(service, { plan: this.#plan, desired: this.#desired, observed: this.#observed, started: this.#started });
  }

  #removeReplica(replica: ObservedReplica, cause: string, { keepVolumes = false, isWhole = false } = {}): number {
    const isStoppedHere = needsStop(replica.state) && !this.#detached.has(replica);
    const after = this.#detach(replica, cause, { isWhole });
    const part = partOf(isWhole, isStoppedHere ? 'middle' : 'begin');
    return this.#plan.add({ type: 'remove', ...targetOf(replica), keepVolumes, ...part }, cause, after);
  }

  #orphans(): void {
    const orphans = findOrphans(this.#desired.project, this.#observed);
    if (this.#options.removeOrphans) {
      for (const orphan of orphans) {
        this.#removeReplica(orphan, 'its service is gone from the file');
      }
    } else if (orphans.length > 0 && !this.#options.ignoreOrphans) {
      warnOfOrphans(this.#plan, orphans);
    }
  }
}

const NO_REPLICA = 'no replica yet';
