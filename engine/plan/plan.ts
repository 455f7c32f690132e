import type { DependsCondition } from '../../compose/model/model.ts';

/** What can be done to a stack: each operation is one call of the executor's hands. */
export type Operation =
  | { readonly type: 'create-network'; readonly network: string }
  | { readonly type: 'remove-network'; readonly network: string }
  | { readonly type: 'create-volume'; readonly volume: string }
  | { readonly type: 'remove-volume'; readonly volume: string }
  | { readonly type: 'create'; readonly replica: string }
  /** Machine on and prepared, workload not yet started: done before the dependencies are ready. */
  | { readonly type: 'boot'; readonly replica: string }
  | { readonly type: 'start'; readonly replica: string }
  | { readonly type: 'stop'; readonly replica: string; readonly timeout: number | undefined }
  | { readonly type: 'kill'; readonly replica: string; readonly signal: number }
  | { readonly type: 'pause'; readonly replica: string }
  | { readonly type: 'unpause'; readonly replica: string }
  /** Memory of a paused machine to disk; the machine stays. */
  | { readonly type: 'save'; readonly replica: string }
  /** The end of a machine that was saved; `paused`: it was so before anybody thought of suspending it. */
  | { readonly type: 'suspend'; readonly replica: string; readonly paused: boolean }
  | { readonly type: 'resume'; readonly replica: string }
  | { readonly type: 'remove'; readonly replica: string; readonly keepVolumes: boolean }
  | {
      readonly type: 'await';
      readonly service: string;
      readonly condition: DependsCondition;
      readonly required: boolean;
      readonly dependent: string;
    };

export interface PlanNode {
  /** From 1, in the order the plan was made. */
  readonly id: number;
  readonly operation: Operation;
  readonly cause: string;
  /** Ids of nodes that must have ended well first; always smaller than `id`. */
  readonly after: readonly number[];
}

export interface Plan {
  readonly nodes: readonly PlanNode[];
  /** What a person should know: orphans, dependencies that are not required. */
  readonly warnings: readonly string[];
}

/** Collects nodes; `add` gives the id that later nodes wait for. */
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

/** One line a node: `#4 boot shop-api-1 (no replica yet) after #1 #3`. This is what `--dry-run` prints and tests compare. */
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
    case 'await':
      return `await ${operation.service} ${operation.condition}${operation.required ? '' : ' if it can'}`;
    case 'stop':
      return operation.timeout === undefined ? `stop ${operation.replica}` : `stop ${operation.replica} within ${operation.timeout}s`;
    case 'kill':
      return `kill ${operation.replica} with signal ${operation.signal}`;
    case 'remove':
      return `remove ${operation.replica}${operation.keepVolumes ? ' keeping its anonymous volumes' : ''}`;
    default:
      return `${operation.type} ${operation.replica}`;
  }
};
