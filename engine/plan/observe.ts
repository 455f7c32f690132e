import type { Health, ReplicaState } from '../model/events.ts';
import type { ReplicaSpec } from '../model/spec.ts';
import type { StateStore } from '../state/store.ts';

/** A replica as the reconciler sees it. */
export interface ObservedReplica {
  readonly name: string;
  readonly service: string;
  readonly number: number;
  readonly oneOff: boolean;
  readonly state: ReplicaState;
  readonly health: Health;
  readonly configHash: string;
  readonly imageId: string;
  /** What it was made from: the networks it is on, the machine it runs in, and whether it removes itself, whatever the file says now. */
  readonly spec: Pick<ReplicaSpec, 'shares' | 'autoRemove'> & { readonly networks: ReadonlyArray<{ readonly key: string }> };
}

/** Those of a service, without its one-offs. */
export const replicasOf = (observed: ObservedStack, service: string): ObservedReplica[] =>
  observed.replicas.filter((replica) => replica.service === service && !replica.oneOff);

/** Those that run in the machine of this replica. */
export const membersOf = (observed: ObservedStack, replica: string): ObservedReplica[] =>
  observed.replicas.filter(({ spec }) => spec.shares?.replica === replica);

export interface ObservedStack {
  readonly replicas: readonly ObservedReplica[];
  /** Network keys → hash of the configuration they were made with. */
  readonly networks: Readonly<Record<string, string>>;
  readonly volumes: ReadonlySet<string>;
}

/** A snapshot of what exists now. */
export const observeStack = (store: StateStore, stack: string): ObservedStack => ({
  replicas: store.vms(stack),
  networks: Object.fromEntries(store.networks(stack).map((row) => [row.key, row.configHash])),
  volumes: new Set(store.volumes().map((row) => row.name)),
});
