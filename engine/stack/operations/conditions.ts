import { setTimeout as sleep } from 'node:timers/promises';
import { onAbort } from '../../../base/abort.ts';
import { HyprError } from '../../../base/errors.ts';
import type { DependsCondition } from '../../../compose/model/model.ts';
import type { EventBus } from '../../logs/bus.ts';
import type { Replica } from '../../replica/replica.ts';

/** `undefined`: not yet; `again`: not yet, and to be asked after so many milliseconds if nothing happens before. */
type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: HyprError }
  | { readonly ok: undefined; readonly again: number }
  | undefined;

export interface AwaitInput {
  readonly replicas: () => readonly Replica[];
  readonly bus: EventBus;
  readonly verdict: (replica: Replica) => Verdict | Promise<Verdict>;
}

/** Resolves when every replica passes, rejects with the first failure; checks again at each event of a replica. */
export const awaitReplicas = async (input: AwaitInput, signal: AbortSignal): Promise<void> => {
  for (;;) {
    const changed = nextChange(input.bus, signal);
    try {
      const verdicts = await Promise.all(input.replicas().map(input.verdict));
      const failed = verdicts.find((verdict) => verdict?.ok === false);
      if (failed?.ok === false) {
        throw failed.error;
      }
      if (verdicts.every((verdict) => verdict?.ok === true)) {
        return;
      }
      const again = verdicts.flatMap((verdict) => (verdict?.ok === undefined && verdict !== undefined ? [verdict.again] : []));
      await (again.length === 0 ? changed.promise : Promise.race([changed.promise, sleep(Math.min(...again), undefined, { ref: false })]));
    } finally {
      changed.cancel();
    }
    signal.throwIfAborted();
  }
};

/** Subscribes before the first check, so that no event is missed between the two. */
const nextChange = (bus: EventBus, signal: AbortSignal): { promise: Promise<void>; cancel: () => void } => {
  let cancel: () => void = () => {};
  const promise = new Promise<void>((resolve) => {
    const unsubscribe = bus.subscribe((event) => {
      if (event.type === 'replica') {
        resolve();
      }
    });
    const leave = onAbort(signal, resolve);
    cancel = () => {
      unsubscribe();
      leave();
      resolve();
    };
  });
  return { promise, cancel };
};

const LOOK_MS = 2_000;

const hasStopped = (replica: Replica): boolean => replica.row.state === 'exited' || replica.row.state === 'dead';

/** Whether a dependency's condition holds for one of its replicas. */
export const judgeCondition =
  (condition: DependsCondition, lastLines: (replica: Replica) => Promise<string[]>) =>
  async (replica: Replica): Promise<Verdict> => {
    const { row } = replica;
    switch (condition) {
      case 'service_started':
        return row.state === 'running' || row.state === 'paused' || hasStopped(replica) ? { ok: true } : undefined;
      case 'service_completed_successfully':
        return hasStopped(replica) ? completion(replica, await lastLines(replica)) : undefined;
      case 'service_healthy':
        if (row.spec.health === undefined) {
          return unchecked(replica, lastLines);
        }
        if (row.health === 'healthy') {
          return { ok: true };
        }
        if (row.health === 'unhealthy') {
          return unhealthy(replica, await lastLines(replica));
        }
        return hasStopped(replica) ? ended(replica, await lastLines(replica)) : undefined;
    }
  };

/**
 * One without a health check cannot become healthy. docker compose sees that half a second later at the earliest, and what has ended
 * by then has ended; a program under software emulation takes a few times as long to.
 */
const unchecked = async (replica: Replica, lastLines: (replica: Replica) => Promise<string[]>): Promise<Verdict> => {
  const { row } = replica;
  if (hasStopped(replica)) {
    return ended(replica, await lastLines(replica));
  }
  const left = row.startedAt === undefined ? LOOK_MS : row.startedAt + LOOK_MS - Date.now();
  return left > 0
    ? { ok: undefined, again: left }
    : fail(
        `dependency failed to start: container ${row.name} has no healthcheck configured`,
        [],
        'give the service a healthcheck, or use condition: service_started',
      );
};

const ended = ({ row }: Replica, lines: readonly string[]): Verdict =>
  fail(`dependency failed to start: container ${row.name} exited (${row.exitCode})`, lines);

const completion = (replica: Replica, lines: readonly string[]): Verdict =>
  replica.row.state === 'exited' && replica.row.exitCode === 0
    ? { ok: true }
    : fail(`service "${replica.row.service}" didn't complete successfully: exit ${replica.row.exitCode}`, lines);

/** What `up --wait` waits for: running; healthy if there is a health check; or ended with exit code 0 if it was to run once. */
export const judgeReady =
  (lastLines: (replica: Replica) => Promise<string[]>) =>
  async (replica: Replica): Promise<Verdict> => {
    const { row } = replica;
    if (row.state === 'exited' && row.exitCode === 0 && row.spec.restart.condition === 'no') {
      return { ok: true };
    }
    if (hasStopped(replica)) {
      return fail(`container ${row.name} exited (${row.exitCode})`, [...(row.reason ? [row.reason] : []), ...(await lastLines(replica))]);
    }
    if (row.health === 'unhealthy') {
      return unhealthy(replica, await lastLines(replica));
    }
    return row.state === 'running' && (row.spec.health === undefined || row.health === 'healthy') ? { ok: true } : undefined;
  };

const unhealthy = (replica: Replica, lines: readonly string[]): Verdict => {
  const probe = replica.lastProbe;
  const probed =
    probe === undefined
      ? []
      : [
          `last probe: ${replica.row.spec.health?.args.join(' ')} ended with ${probe.code} after ${probe.duration} ms`,
          ...probe.output
            .trim()
            .split('\n')
            .slice(-5)
            .map((line) => `  ${line}`),
        ];
  return fail(
    `dependency failed to start: container ${replica.row.name} is unhealthy`,
    [...probed, ...lines],
    undefined,
    'SERVICE_UNHEALTHY',
  );
};

const fail = (
  message: string,
  lines: readonly string[],
  hint?: string,
  code: 'DEPENDENCY_FAILED' | 'SERVICE_UNHEALTHY' = 'DEPENDENCY_FAILED',
): Verdict => ({
  ok: false,
  error: new HyprError(code, message, { details: lines, ...(hint ? { hint } : {}) }),
});
