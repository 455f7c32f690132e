import { linkedController } from '../../../base/abort.ts';
import { HyprError } from '../../../base/errors.ts';
import type { EngineEvent, ReplicaStatus } from '../../model/events.ts';
import type { ReplicaDetail } from '../../model/types.ts';
import { stateWord } from '../shapes/status.ts';
import type { Host } from './host.ts';

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

export interface Waiting {
  readonly condition: WaitCondition;
  readonly signal: AbortSignal;
  /** Called when nothing can be missed any more: clients start the machine only then. */
  readonly onReady: () => void;
}

/** How long a supervisor may take to speak of a machine before it is looked for in the database: it may have been removed meanwhile. */
const SILENT_MS = 2_000;

/** The exit code of a machine once it is as the client wants it. A supervisor that is lost meanwhile is replaced by the next one. */
export const awaitEnd = async (host: Host, detail: ReplicaDetail, waiting: Waiting): Promise<number> => {
  if (waiting.condition === 'not-running' && !isUp(detail.status)) {
    waiting.onReady();
    return detail.status.exitCode;
  }
  let last = detail.status;
  for (let lost = 0; ; ) {
    const ended = await followAgain(host, detail, waiting, (status) => {
      last = status;
      lost = 0;
    });
    const [now] = host.objects.replicas(detail.status.id);
    if (ended || waiting.signal.aborted || now === undefined || hasEnded(now.status, last, waiting.condition)) {
      waiting.onReady();
      return ended ? last.exitCode : (now?.status.exitCode ?? last.exitCode);
    }
    lost += 1;
    if (lost > MOST_LOST) {
      throw new HyprError('SUPERVISOR_LOST', `the supervisor of ${detail.status.name} was lost ${lost} times`);
    }
  }
};

/** Supervisors that may be lost one after the other without a word about the machine. */
const MOST_LOST = 5;

/** What happened between the loss of a supervisor and the next one. */
const hasEnded = (now: ReplicaStatus, before: ReplicaStatus, condition: WaitCondition): boolean =>
  !isUp(now) && (condition === 'not-running' || (condition === 'next-exit' && now.finishedAt !== before.finishedAt));

/** False when the supervisor is lost. */
const followAgain = async (...args: Parameters<typeof follow>): Promise<boolean> => {
  try {
    return await follow(...args);
  } catch (error) {
    if (error instanceof HyprError && (error.code === 'SUPERVISOR_GONE' || error.code === 'SUPERVISOR_LOST')) {
      return false;
    }
    throw error;
  }
};

/** Whether it ended as it was waited for; false when the supervisor fell silent. */
const follow = (host: Host, detail: ReplicaDetail, waiting: Waiting, see: (status: ReplicaStatus) => void): Promise<boolean> =>
  host.withStack(detail.stack, async (stack) => {
    const call = linkedController(waiting.signal);
    const silent = setTimeout(() => host.objects.replicas(detail.status.id).length === 0 && call.abort(), SILENT_MS);
    try {
      for await (const event of stack.events({ logs: false, usage: false, start: true }, call.signal)) {
        if (event.type !== 'replica' || event.replica.id !== detail.status.id) {
          continue;
        }
        clearTimeout(silent);
        see(event.replica);
        if (isEnd(event, waiting.condition)) {
          return true;
        }
        waiting.onReady();
      }
      return false;
    } finally {
      clearTimeout(silent);
      call.abort();
    }
  });

const isEnd = (event: Extract<EngineEvent, { type: 'replica' }>, condition: WaitCondition): boolean =>
  event.gone === true || (condition !== 'removed' && (event.action === 'die' || (condition === 'not-running' && !isUp(event.replica))));

/** As docker counts: also while it is paused or about to restart. */
export const isUp = (status: Pick<ReplicaStatus, 'state'>): boolean => ['running', 'paused', 'restarting'].includes(stateWord(status));
