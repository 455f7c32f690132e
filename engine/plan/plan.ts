import type { DependsCondition } from '../../compose/model/model.ts';
import type { AnonymousFate } from '../model/volume-name.ts';

/** The replica an operation acts on: the name users see, and the service and number it belongs to. */
export interface ReplicaTarget {
  readonly replica: string;
  readonly service: string;
  readonly number: number;
}

/** A part of the replacement of a replica (`up`), or of `restart`. */
export interface Part {
  readonly of: 'recreate' | 'restart';
  readonly is: 'begin' | 'middle' | 'end';
}

export type ReplicaOperation = ReplicaTarget &
  (
    | { readonly type: 'pause' | 'unpause' | 'resume' }
    /** `part`: of something that users see as one thing, of which only the beginning and the end are shown. */
    | { readonly type: 'create' | 'start'; readonly part?: Part }
    /** Turns the machine on and prepares it; the workload starts later. Does not wait for dependencies. */
    | { readonly type: 'boot' }
    /** `oneOffHooks`: a one-off runs its `pre_stop` hooks, too, which only `down` asks for. */
    | { readonly type: 'stop'; readonly timeout: number | undefined; readonly part?: Part; readonly oneOffHooks?: true }
    | { readonly type: 'kill'; readonly signal: number }
    /** Writes the memory of a paused machine to disk; the machine stays. */
    | { readonly type: 'save' }
    /** Ends a machine that was saved; `paused`: the user had already paused it. */
    | { readonly type: 'suspend'; readonly paused: boolean }
    | { readonly type: 'remove'; readonly volumes: AnonymousFate; readonly part?: Part }
    /** Runs a `pre_start` hook to its end in a machine of its own; `replica` is that of the hook. */
    | { readonly type: 'pre-start'; readonly index: number; readonly key: string }
  );

/** The operations on a stack. The executor has one function for each type. */
export type Operation =
  | ReplicaOperation
  | { readonly type: 'create-network'; readonly network: string }
  /** `toRecreate`: what comes next needs it to be gone. */
  | { readonly type: 'remove-network'; readonly network: string; readonly toRecreate?: true }
  | { readonly type: 'create-volume'; readonly volume: string }
  | { readonly type: 'remove-volume'; readonly volume: string; readonly toRecreate?: true }
  | { readonly type: 'remove-image'; readonly image: string }
  | {
      readonly type: 'await';
      readonly service: string;
      readonly condition: DependsCondition;
      readonly required: boolean;
      readonly dependent: string;
    };

/** The target for an operation on an existing replica. */
export const targetOf = (replica: { readonly name: string; readonly service: string; readonly number: number }): ReplicaTarget => ({
  replica: replica.name,
  service: replica.service,
  number: replica.number,
});

export interface PlanNode {
  /** Counts from 1 in the order of planning. */
  readonly id: number;
  readonly operation: Operation;
  readonly cause: string;
  /** Ids of nodes that must have succeeded first; always smaller than `id`. */
  readonly after: readonly number[];
}

export interface Plan {
  readonly nodes: readonly PlanNode[];
  /** Messages for the user: orphans, optional dependencies. */
  readonly warnings: readonly string[];
}

/** Collects nodes; `add` returns the id that later nodes depend on. */
export class PlanBuilder {
  readonly #nodes: PlanNode[] = [];
  readonly #warnings: string[] = [];

  add(operation: Operation, cause: string, after: Iterable<number> = []): number {
    const id = this.#nodes.length + 1;
    this.#nodes.push({ id, operation, cause, after: [...new Set(after)].sort((a, b) => a - b) });
    return id;
  }

  warn(message: string): void {
    this.#warnings.push(message);
  }

  build(): Plan {
    return { nodes: this.#nodes, warnings: this.#warnings };
  }
}

/** One line per node: `#4 boot shop-api-1 (no replica yet) after #1 #3`. `--dry-run` prints this and tests compare it. */
export const formatPlan = (plan: Plan): string => {
  const lines = plan.nodes.map((node) => {
    const after = node.after.length === 0 ? '' : ` after ${node.after.map((id) => `#${id}`).join(' ')}`;
    return `#${node.id} ${describe(node.operation)} (${node.cause})${after}`;
  });
  return [...plan.warnings.map((warning) => `! ${warning}`), ...lines].map((line) => `${line}\n`).join('');
};

const describe = (operation: Operation): string => {
  switch (operation.type) {
    case 'create-network':
    case 'remove-network':
      return `${operation.type} ${operation.network}`;
    case 'create-volume':
    case 'remove-volume':
      return `${operation.type} ${operation.volume}`;
    case 'remove-image':
      return `remove-image ${operation.image}`;
    case 'await':
      return `await ${operation.service} ${operation.condition}${operation.required ? '' : ' if it can'}`;
    case 'stop':
      return operation.timeout === undefined ? `stop ${operation.replica}` : `stop ${operation.replica} within ${operation.timeout}s`;
    case 'kill':
      return `kill ${operation.replica} with signal ${operation.signal}`;
    case 'remove':
      return `remove ${operation.replica}${FATES[operation.volumes]}`;
    default:
      return `${operation.type} ${operation.replica}`;
  }
};

const FATES: Readonly<Record<AnonymousFate, string>> = {
  keep: '',
  remove: ' with its anonymous volumes',
  'hand-on': ' keeping its anonymous volumes',
};

/** Nothing for an operation that users see by itself. */
export const partOf = (isWhole: boolean | undefined, is: Part['is']): { part?: Part } => (isWhole ? { part: { of: 'recreate', is } } : {});

/** The lowest unused replica numbers. */
export const freeNumbers = (existing: ReadonlyArray<{ readonly number: number }>, count: number): number[] => {
  const taken = new Set(existing.map((replica) => replica.number));
  const free: number[] = [];
  for (let number = 1; free.length < count; number++) {
    if (!taken.has(number)) {
      free.push(number);
    }
  }
  return free;
};
