import { HyprError } from '../../base/errors.ts';
import type { EventBus } from '../logs/bus.ts';
import type { Replica } from '../replica/replica.ts';
import { awaitReplicas, judgeReady } from './operations/conditions.ts';
import { isNamed } from './stack-record.ts';

interface Waiting {
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly bus: EventBus;
  /** Empty: all services. */
  readonly services: readonly string[];
}

/** `--wait`: until the replicas are ready (see `judgeReady`), for `timeout` seconds. Throws HYPR_TIMEOUT, DEPENDENCY_FAILED, SERVICE_UNHEALTHY. */
export const awaitReady = async (
  waiting: Waiting & { readonly timeout: number | undefined; readonly lastLines: (replica: Replica) => Promise<string[]> },
  signal: AbortSignal,
): Promise<void> => {
  const { bus, timeout, lastLines } = waiting;
  const deadline = timeout === undefined ? undefined : AbortSignal.timeout(timeout * 1000);
  const both = deadline === undefined ? signal : AbortSignal.any([signal, deadline]);
  try {
    await awaitReplicas({ replicas: () => chosen(waiting), bus, verdict: judgeReady(lastLines) }, both);
  } catch (error) {
    if (deadline?.aborted && !signal.aborted) {
      throw new HyprError('HYPR_TIMEOUT', `application not healthy after ${timeout}s`);
    }
    throw error;
  }
};

/** The exit code of the first replica to end. Throws STACK_NOT_RUNNING when there is none. */
export const awaitFirstEnd = async (waiting: Waiting & { readonly stack: string }, signal: AbortSignal): Promise<number> => {
  if (chosen(waiting).length === 0) {
    throw new HyprError('STACK_NOT_RUNNING', `no containers for project "${waiting.stack}"`);
  }
  const any = {
    replicas: () => (chosen(waiting).some(hasEnded) ? [] : chosen(waiting)),
    bus: waiting.bus,
    verdict: (replica: Replica) => (hasEnded(replica) ? ({ ok: true } as const) : undefined),
  };
  await awaitReplicas(any, signal);
  return chosen(waiting).find(hasEnded)?.row.exitCode ?? 0;
};

const chosen = ({ replicas, services }: Waiting): Replica[] =>
  [...replicas.values()].filter(({ row }) => !row.oneOff && isNamed(services, row.service));

const hasEnded = ({ row }: Replica): boolean => row.state === 'exited' || row.state === 'dead';
