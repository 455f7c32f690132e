import { hasMachine, needsStop } from '../model/lifecycle.ts';
import type { UpOptions } from '../model/types.ts';
import { type Dependency, dependenciesOf, orderServices } from '../resolve/dependencies.ts';
import { serviceNotices } from '../resolve/service-notices.ts';
import type { Desired, DesiredService } from './desired-state.ts';
import type { ObservedReplica, ObservedStack } from './observe.ts';
import { freeNumbers, type Plan, PlanBuilder, partOf, type ReplicaTarget, targetOf } from './plan.ts';
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
  /** Replicas stopped because one of their networks is replaced → the node that stops them. */
  readonly #detached = new Map<ObservedReplica, number>();
  readonly #desired: Desired;
  readonly #observed: ObservedStack;
  readonly #options: UpOptions;

  constructor(desired: Desired, observed: ObservedStack, options: UpOptions) {
    this.#desired = desired;
    this.#observed = observed;
    this.#options = options;
    const evict = (replica: ObservedReplica, cause: string): number => this.#evict(replica, cause);
    const detach = (replica: ObservedReplica, cause: string): number[] => this.#detach(replica, cause);
    this.#resources = new ResourcePlan({ plan: this.#plan, desired, observed, options, evict, detach });
  }

  run(): Plan {
    const services = orderServices(this.#desired.project, this.#options.services, { withDependencies: !this.#options.noDeps });
    for (const notice of serviceNotices(this.#desired.project, services)) {
      this.#plan.warn(notice);
    }
    this.#resources.add(services);
    for (const service of this.#withDetached(services)) {
      this.#service(service);
    }
    this.#orphans();
    return this.#plan.build();
  }

  /** `isWhole`: removal and creation are shown as one thing. */
  #evict(replica: ObservedReplica, cause: string, isWhole = false): number {
    const known = this.#evicted.get(replica.name);
    const node = known ?? this.#removeReplica(replica, cause, { keepVolumes: !this.#options.renewAnonVolumes, isWhole });
    this.#evicted.set(replica.name, node);
    return node;
  }

  /** Keeps the machine's disks: it gets addresses of the new network when it is started again. */
  #detach(replica: ObservedReplica, cause: string, isWhole = false): number[] {
    if (!needsStop(replica.state)) {
      return [];
    }
    const node =
      this.#detached.get(replica) ??
      this.#plan.add({ type: 'stop', ...targetOf(replica), timeout: this.#options.timeout, ...partOf(isWhole, 'begin') }, cause);
    this.#detached.set(replica, node);
    return [node];
  }

  /** The services of the plan, and those with replicas that were stopped for a network only: dependencies first, what the file no longer has last. */
  #withDetached(services: readonly string[]): readonly string[] {
    const { project } = this.#desired;
    const others = new Set([...this.#detached.keys()].map(({ service }) => service).filter((service) => !services.includes(service)));
    if (others.size === 0) {
      return services;
    }
    const known = [...others].filter((service) => project.services[service] !== undefined);
    const gone = [...others].filter((service) => project.services[service] === undefined);
    const isRemoved = (service: string): boolean => this.#options.removeOrphans && project.disabledServices[service] === undefined;
    return [
      ...orderServices(project, [...services, ...known], { withDependencies: false }),
      ...gone.filter((service) => !isRemoved(service)),
    ];
  }

  /** What this plan is not about was stopped for a network only; what is removed for a volume stays away. */
  #reattach(service: string): void {
    const detached = [...this.#detached].filter(([replica]) => replica.service === service && !replica.oneOff);
    const starts = detached
      .filter(([replica]) => !this.#evicted.has(replica.name) && !this.#options.noStart)
      .flatMap(([replica, stopped]) => {
        const networks = replica.spec.networks.map(({ key }) => key);
        return this.#startReplica(targetOf(replica), NETWORK_CHANGED, [stopped, ...this.#resources.nodesOf({ networks, volumes: [] })]);
      });
    if (starts.length > 0) {
      this.#started.set(service, starts);
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
    const existing = this.#observed.replicas.filter((replica) => replica.service === service && !replica.oneOff);
    // What is up to date stays rather than what would be replaced.
    const inOrder =
      existing.length > wanted.scale
        ? [...existing].sort((a, b) => this.#staleness(service, wanted, a) - this.#staleness(service, wanted, b))
        : existing;
    const kept = inOrder.slice(0, wanted.scale);
    for (const surplus of inOrder.slice(wanted.scale)) {
      this.#evict(surplus, `scaled down to ${wanted.scale}`);
    }
    const runs = kept.some(
      (replica) => replica.state === 'running' && !this.#evicted.has(replica.name) && this.#staleness(service, wanted, replica) === 0,
    );
    if (runs) {
      this.#skipsHooks.add(service);
    }
    const starts: number[] = [];
    for (const replica of kept) {
      starts.push(...this.#keepOrReplace(service, wanted, replica));
    }
    for (const number of freeNumbers(existing, wanted.scale - kept.length)) {
      starts.push(...this.#createReplica({ service, wanted, number, cause: 'no replica yet', after: [] }));
    }
    this.#started.set(service, starts);
  }

  #keepOrReplace(service: string, wanted: DesiredService, replica: ObservedReplica): number[] {
    const cause = this.#evicted.has(replica.name) ? 'its volume changed' : recreateCause(this.#options, service, wanted, replica);
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
        : this.#startReplica(targetOf(replica), NETWORK_CHANGED, [detached, ...this.#resources.nodesOf(wanted)]);
    }
    if (replica.state === 'running') {
      const restarted = dependenciesOf(this.#desired.project, service).find((dep) => dep.restart && this.#recreated.has(dep.service));
      if (restarted === undefined) {
        return [];
      }
      const why = `${restarted.service} is replaced and restarts its dependents`;
      const stopped = this.#plan.add({ type: 'stop', ...targetOf(replica), timeout: this.#options.timeout }, why);
      return this.#startReplica(targetOf(replica), why, [stopped]);
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

  #staleness(service: string, wanted: DesiredService, replica: ObservedReplica): number {
    return recreateCause(this.#options, service, wanted, replica) === undefined ? 0 : 1;
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
    const created = this.#plan.add({ type: 'create', ...target, ...partOf(input.isWhole, 'end') }, cause, [
      ...input.after,
      ...this.#resources.nodesOf(wanted),
    ]);
    return this.#options.noStart ? [created] : this.#startReplica(target, cause, [created]);
  }

  #startReplica(target: ReplicaTarget, cause: string, after: readonly number[]): number[] {
    const hooked = this.#preStart(target, after);
    const booted = this.#plan.add({ type: 'boot', ...target }, cause, hooked === undefined ? after : [...after, hooked]);
    return [this.#plan.add({ type: 'start', ...target }, cause, [booted, ...this.#conditions(target.service)])];
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
    return dependenciesOf(this.#desired.project, service)
      .filter((dependency) => this.#isAwaited(service, dependency))
      .map((dependency) => this.#awaitDependency(service, dependency));
  }

  /**
   * With --no-deps a dependency counts only if it exists; an optional one may be missing. What comes back on its network ran
   * before: it waits for what starts again with it.
   */
  #isAwaited(dependent: string, dependency: Dependency): boolean {
    const started = this.#started.get(dependency.service);
    if (this.#desired.services[dependent] === undefined) {
      return started !== undefined && started.length > 0;
    }
    return started !== undefined || this.#observed.replicas.some(({ service, oneOff }) => service === dependency.service && !oneOff);
  }

  #awaitDependency(dependent: string, dependency: Dependency): number {
    const { service, condition, required } = dependency;
    return this.#plan.add(
      { type: 'await', service, condition, required, dependent },
      `${dependent} depends on it`,
      this.#started.get(service) ?? [],
    );
  }

  #removeReplica(replica: ObservedReplica, cause: string, { keepVolumes = false, isWhole = false } = {}): number {
    const isStoppedHere = needsStop(replica.state) && !this.#detached.has(replica);
    const after = this.#detach(replica, cause, isWhole);
    const part = partOf(isWhole, isStoppedHere ? 'middle' : 'begin');
    return this.#plan.add({ type: 'remove', ...targetOf(replica), keepVolumes, ...part }, cause, after);
  }

  #orphans(): void {
    const known = new Set([...Object.keys(this.#desired.project.services), ...Object.keys(this.#desired.project.disabledServices)]);
    // One-offs only once they have ended, as in docker compose.
    const orphans = this.#observed.replicas.filter(({ oneOff, service, state }) =>
      oneOff ? state === 'exited' || state === 'dead' : !known.has(service),
    );
    if (orphans.length === 0) {
      return;
    }
    if (this.#options.removeOrphans) {
      for (const orphan of orphans) {
        this.#removeReplica(orphan, 'its service is gone from the file');
      }
      return;
    }
    if (this.#options.ignoreOrphans) {
      return;
    }
    this.#plan.warn(
      `Found orphan containers ([${orphans.map((orphan) => orphan.name).join(' ')}]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.`,
    );
  }
}

const NETWORK_CHANGED = 'its network changed';
