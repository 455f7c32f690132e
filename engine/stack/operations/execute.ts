import { linkedController } from '../../../base/abort.ts';
import { toHyprError } from '../../../base/errors.ts';
import type { Plan, PlanNode } from '../../plan/plan.ts';

/** Executes one operation; decides nothing. Must settle soon after the signal aborts. */
export type OperationExecutor = (node: PlanNode, signal: AbortSignal) => Promise<void>;

/**
 * Runs a plan: each node starts as soon as the nodes before it have succeeded. The first failure aborts the
 * others, and this waits for those that run, so that nothing of the plan happens after it settles. Rejects
 * with the first failure, or with the signal's reason.
 */
export const executePlan = async (plan: Plan, execute: OperationExecutor, signal?: AbortSignal): Promise<void> => {
  const controller = linkedController(signal);
  let failure: unknown;
  const ended = new Map<number, Promise<boolean>>();
  const runNode = async (node: PlanNode): Promise<boolean> => {
    const before = await Promise.all(node.after.map((id) => ended.get(id)));
    if (before.includes(false) || controller.signal.aborted) {
      return false;
    }
    try {
      await execute(node, controller.signal);
      return true;
    } catch (error) {
      // After an interruption every node fails: the reason is the interruption.
      failure ??= signal?.aborted ? signal.reason : error;
      controller.abort(toHyprError(error));
      return false;
    }
  };
  for (const node of plan.nodes) {
    ended.set(node.id, runNode(node));
  }
  await Promise.all(ended.values());
  if (failure !== undefined) {
    throw failure;
  }
  signal?.throwIfAborted();
};
