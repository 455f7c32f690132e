import { traced } from '../../base/trace/trace.ts';
import type { Plan } from '../plan/plan.ts';
import type { OneOffs } from './one-offs.ts';
import { executePlan } from './operations/execute.ts';
import { makeOperationExecutor, type OperationContext } from './operations/operations.ts';

export interface PlanRun extends OperationContext {
  readonly oneOffs: OneOffs;
}

/** Executes a plan and tells its warnings; whatever comes of it, no machine stays booted that will not start now. */
export const runPlan = async (plan: Plan, run: PlanRun, signal: AbortSignal): Promise<void> => {
  for (const message of plan.warnings) {
    run.bus.emit({ type: 'warning', message });
  }
  const execute = makeOperationExecutor(run);
  try {
    await traced('execute the plan', undefined, () => executePlan(plan, execute, signal));
  } finally {
    await stopUnstarted(run);
  }
};

/** Runs the plan of a suspend, all or nothing: when one replica cannot be saved, those that were paused for it resume. */
export const runSuspend = async (plan: Plan, run: PlanRun, signal: AbortSignal): Promise<void> => {
  const paused = plan.nodes.flatMap(({ operation }) => (operation.type === 'pause' ? [operation.replica] : []));
  try {
    await runPlan(plan, run, signal);
  } catch (error) {
    const left = paused.flatMap((name) => run.replicas.get(name) ?? []).filter(({ row }) => row.state === 'paused');
    await Promise.allSettled(left.map((replica) => replica.unpause()));
    await Promise.allSettled([...run.replicas.values()].map((replica) => replica.suspension.unsave()));
    throw error;
  }
};

/** Ends machines that were booted ahead for workloads that will not start now. */
const stopUnstarted = async ({ replicas, oneOffs }: PlanRun): Promise<void> => {
  const waiting = [...replicas.values()].filter((replica) => replica.isHeld && !oneOffs.isPromised(replica.row.name));
  await Promise.allSettled(waiting.map((replica) => replica.stop({ graceMs: 0, byUser: false })));
};
