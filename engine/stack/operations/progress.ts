import { HyprError, messageOf } from '../../../base/errors.ts';
import type { EventBus } from '../../logs/bus.ts';
import type { Operation, Plan, PlanNode } from '../../plan/plan.ts';
import type { VmRow } from '../../state/records.ts';

/** docker compose's words for an operation, before and after it. */
const WORDS: Record<Operation['type'], readonly [string, string] | undefined> = {
  'create-network': ['Creating', 'Created'],
  'remove-network': ['Removing', 'Removed'],
  'create-volume': ['Creating', 'Created'],
  'remove-volume': ['Removing', 'Removed'],
  'remove-image': ['Removing', 'Removed'],
  create: ['Creating', 'Created'],
  boot: undefined,
  'pre-start': ['Starting', 'Exited'],
  start: ['Starting', 'Started'],
  stop: ['Stopping', 'Stopped'],
  kill: ['Killing', 'Killed'],
  pause: ['Pausing', 'Paused'],
  unpause: ['Unpausing', 'Unpaused'],
  save: ['Suspending', 'Suspended'],
  suspend: undefined,
  resume: ['Resuming', 'Resumed'],
  remove: ['Removing', 'Removed'],
  await: undefined,
};

const WORDS_OF_WHOLE = { recreate: ['Recreate', 'Recreated'], restart: ['Restarting', 'Started'] } as const;

/** Of something that is one thing for whoever asked for it, its parts are not shown. */
const wordsOf = (operation: Operation): readonly [string | undefined, string | undefined] | undefined => {
  const part = 'part' in operation ? operation.part : undefined;
  if (part === undefined) {
    return WORDS[operation.type];
  }
  const [begun, ended] = WORDS_OF_WHOLE[part.of];
  return [part.is === 'begin' ? begun : undefined, part.is === 'end' ? ended : undefined];
};

/** What someone else uses stays, which is no failure of the command that would have removed it. */
const inUse = (error: unknown): boolean =>
  error instanceof HyprError && (error.code === 'VOLUME_IN_USE' || error.code === 'NETWORK_IN_USE' || error.code === 'IMAGE_IN_USE');

/** Reports the start and the end of a node. */
export const reportNode = async (
  report: { bus: EventBus; node: PlanNode; label: string; signal: AbortSignal },
  work: () => Promise<void>,
): Promise<void> => {
  const { bus, node, label, signal } = report;
  const words = wordsOf(node.operation);
  if (words?.[0] !== undefined) {
    bus.emit({ type: 'progress', progress: { id: label, status: 'working', text: words[0] } });
  }
  try {
    await work();
  } catch (error) {
    if (node.operation.type.startsWith('remove-') && !('toRecreate' in node.operation) && inUse(error)) {
      bus.emit({
        type: 'progress',
        progress: { id: label, status: 'warning', text: 'Resource is still in use', details: messageOf(error) },
      });
      return;
    }
    // Another node failed and reports why.
    const progress = signal.aborted
      ? ({ id: label, status: 'warning', text: 'Canceled' } as const)
      : ({ id: label, status: 'error', text: 'Error', details: messageOf(error) } as const);
    if (words !== undefined || !signal.aborted) {
      bus.emit({ type: 'progress', progress });
    }
    throw error;
  }
  if (words?.[1] !== undefined) {
    bus.emit({ type: 'progress', progress: { id: label, status: 'done', text: words[1] } });
  }
};

/** Says of replicas that run and with which a plan does nothing that they do. */
export const reportRunning = (bus: EventBus, plan: Plan, replicas: ReadonlyArray<{ readonly row: VmRow }>): void => {
  const planned = new Set(plan.nodes.flatMap(({ operation }) => ('replica' in operation ? [operation.replica] : [])));
  for (const { row } of replicas) {
    if (row.state === 'running' && !row.oneOff && !planned.has(row.name)) {
      bus.emit({ type: 'progress', progress: { id: `Container ${row.name}`, status: 'done', text: 'Running' } });
    }
  }
};

/** `Container shop-db-1`, `Network shop_default`, `Volume shop_data` as docker compose names them. */
export const labelOf = (operation: Operation, networkName: (key: string) => string): string => {
  switch (operation.type) {
    case 'create-network':
    case 'remove-network':
      return `Network ${networkName(operation.network)}`;
    case 'create-volume':
    case 'remove-volume':
      return `Volume ${operation.volume}`;
    case 'remove-image':
      return `Image ${operation.image}`;
    case 'await':
      return `Service ${operation.service}`;
    default:
      return `Container ${operation.replica}`;
  }
};
