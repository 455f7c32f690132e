import { needsStop } from '../model/lifecycle.ts';
import type { UpOptions } from '../model/types.ts';
import type { AnonymousFate } from '../model/volume-name.ts';
import { awaitDependencies } from './await-dependencies.ts';
import type { Desired, DesiredService } from './desired-state.ts';
import { membersOf, type ObservedReplica, type ObservedStack } from './observe.ts';
import { type PlanBuilder, partOf, type ReplicaTarget, targetOf } from './plan.ts';
import type { ResourcePlan } from './reconcile-resources.ts';

/** A replica's nodes of a plan and why it has them. */
interface Planned {
  readonly node: number;
  readonly cause: string;
}

/**
 * The nodes of single replicas in the plan of an `up`: removed, stopped, created, hooked, started, each once and after what it
 * must come after. What happens to which replica is decided in `reconcile.ts`.
 */
export class ReplicaPlan {
  /** Service → the nodes after which this plan counts it as started. */
  readonly #started = new Map<string, number[]>();
  readonly #skipsHooks = new Set<string>();
  /** Service → the node of its last `pre_start` hook. */
  readonly #hooked = new Map<string, number>();
  /** Replicas removed early because one of their volumes is replaced → the node that removes them. */
  readonly evicted = new Map<string, number>();
  /** Replicas stopped because one of their networks is replaced, or with the machine they run in → the node that stops them. */
  readonly detached = new Map<ObservedReplica, Planned>();
  /** Replicas that this plan makes → the node that does. */
  readonly created = new Map<string, Planned>();
  /** Replica → the nodes that make those that will run in its machine. */
  readonly #madeIn = new Map<string, number[]>();

  constructor(
    private readonly plan: PlanBuilder,
    private readonly desired: Desired,
    private readonly observed: ObservedStack,
    private readonly options: UpOptions,
    private readonly nodesOf: ResourcePlan['nodesOf'],
  ) {}

  /** Removes a replica, once. `isWhole`: removal and creation are shown as one thing; `forGood`: it has no successor. */
  evict(replica: ObservedReplica, cause: string, { isWhole = false, forGood = false } = {}): number {
    const known = this.evicted.get(replica.name);
    const volumes = forGood || this.options.renewAnonVolumes ? 'keep' : 'hand-on';
    const node = known ?? this.remove(replica, cause, { volumes, isWhole });
    this.evicted.set(replica.name, node);
    return node;
  }

  /**
   * Keeps the machine's disks: it gets addresses of the new network when it is started again. What runs in its machine is stopped
   * first, and starts again with it.
   */
  detach(replica: ObservedReplica, cause: string, { isWhole = false, back = cause } = {}): number[] {
    if (!needsStop(replica.state)) {
      return [];
    }
    const known = this.detached.get(replica);
    if (known !== undefined) {
      return [known.node];
    }
    const before = membersOf(this.observed, replica.name).flatMap((member) =>
      this.detach(member, `it shares the machine of ${replica.name}`),
    );
    const stop = { type: 'stop', ...targetOf(replica), timeout: this.options.timeout, ...partOf(isWhole, 'begin') } as const;
    const node = this.plan.add(stop, cause, before);
    this.detached.set(replica, { node, cause: back });
    return [node];
  }

  /** The machine that it runs in goes, and no new one comes. */
  losesMachine({ spec }: ObservedReplica): boolean {
    return spec.shares !== undefined && this.evicted.has(spec.shares.replica) && !this.created.has(spec.shares.replica);
  }

  /** Creates a replica, once. */
  create(input: { target: ReplicaTarget; wanted: DesiredService; cause: string; after: number[]; isWhole?: boolean }): number {
    const { target, wanted, cause, after, isWhole } = input;
    const known = this.created.get(target.replica);
    if (known !== undefined) {
      return known.node;
    }
    const resources = this.nodesOf(wanted);
    const node = this.plan.add({ type: 'create', ...target, ...partOf(isWhole, 'end') }, cause, [...after, ...resources]);
    this.created.set(target.replica, { node, cause });
    if (wanted.shares !== undefined) {
      this.#madeIn.set(wanted.shares.replica, [...(this.#madeIn.get(wanted.shares.replica) ?? []), node]);
    }
    return node;
  }

  /** Boots it and, once its service's conditions hold, starts it; gives the node after which it has started. */
  start(target: ReplicaTarget, cause: string, after: readonly number[]): number[] {
    const hooked = this.#preStart(target, after);
    const machine = this.machineNodes(target);
    const booted = this.plan.add({ type: 'boot', ...target }, cause, [...after, ...machine, ...(hooked === undefined ? [] : [hooked])]);
    return [this.plan.add({ type: 'start', ...target }, cause, [booted, ...this.conditions(target.service)])];
  }

  /** A machine starts once those exist that run in it; they are prepared once its own service has started. */
  machineNodes({ replica, service }: ReplicaTarget): number[] {
    const shares = this.desired.services[service]?.shares ?? this.observed.replicas.find(({ name }) => name === replica)?.spec.shares;
    return [...(this.#madeIn.get(replica) ?? []), ...(shares === undefined ? [] : (this.#started.get(shares.service) ?? []))];
  }

  /** Its hooks one after the other, once for the service, when the first of its replicas starts; gives the last one's node. */
  #preStart({ service, number }: ReplicaTarget, after: readonly number[]): number | undefined {
    const hooks = this.desired.services[service]?.preStart ?? [];
    if (hooks.length === 0 || this.#skipsHooks.has(service)) {
      return undefined;
    }
    const planned = this.#hooked.get(service);
    if (planned !== undefined) {
      return planned;
    }
    let last: readonly number[] = [...after, ...this.conditions(service)];
    for (const { key, index, replica } of hooks) {
      last = [this.plan.add({ type: 'pre-start', service, number, replica, index, key }, 'before the service starts', last)];
    }
    this.#hooked.set(service, last[0] as number);
    return last[0];
  }

  /** What this plan counts as the start of a service, for those that wait for it. */
  setStarted(service: string, nodes: number[]): void {
    this.#started.set(service, nodes);
  }

  /** A replica of the service runs already: its hooks have run. */
  skipHooks(service: string): void {
    this.#skipsHooks.add(service);
  }

  /** The nodes that wait for what the service depends on. */
  conditions(service: string): number[] {
    return awaitDependencies(service, { plan: this.plan, desired: this.desired, observed: this.observed, started: this.#started });
  }

  /** Stops what needs it and removes the replica; `evict` does so once. */
  remove(
    replica: ObservedReplica,
    cause: string,
    { volumes = 'keep', isWhole = false }: { readonly volumes?: AnonymousFate; readonly isWhole?: boolean } = {},
  ): number {
    const isStoppedHere = needsStop(replica.state) && !this.detached.has(replica);
    const after = this.detach(replica, cause, { isWhole });
    const part = partOf(isWhole, isStoppedHere ? 'middle' : 'begin');
    return this.plan.add({ type: 'remove', ...targetOf(replica), volumes, ...part }, cause, after);
  }
}
