import { linkedController } from '../../base/abort.ts';
import { toHyprError } from '../../base/errors.ts';
import type { Plan, PlanNode } from '../plan/plan.ts';

/** Carries out one operation; decides nothing. Must settle soon after the signal aborts. */
export type Hands = (node: PlanNode, signal: AbortSignal) => Promise<void>;

/**
 * Runs a plan: every node as soon as those it comes after have ended well. The first failure aborts the
 * others; what runs is waited for, so that nothing of the plan happens after this settles. Rejects
 * with the first failure, or with the signal's reason.
 */
export const executePlan = async (plan: Plan, hands: Hands, signal?: AbortSignal): Promise<void> => {
  const controller = linkedController(signal);
  let failure: unknown;
  const ended = new Map<number, Promise<boolean>>();
  const runNode = async (node: PlanNode): Promise<boolean> => {
    const before = await Promise.all(node.after.map((id) => ended.get(id)));
    if (before.includes(false) || controller.signal.aborted) {
      return false;
    }
    try {
      await hands(node, controller.signal);
      return true;
    } catch (error) {
      // What fails because the whole plan was interrupted is no failure of its own.
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
