import { type ErrorCode, HyprError, messageOf } from '../../../base/errors.ts';
import { type RefusalReason, refusalReason } from '../../../guest/protocol/refusal.ts';
import type { ReplicaDetail } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import type { Host } from './host.ts';
import { awaitEnd, isUp } from './wait.ts';

/** What is done with the files of a machine. */
export interface FileWork<T> {
  readonly host: Host;
  readonly detail: ReplicaDetail;
  readonly signal: AbortSignal;
  /** Given the machine as it is then. */
  readonly work: (now: ReplicaDetail) => Promise<T>;
  /** Whether it can be done from the start again: no part of the answer was sent. Always, when absent. */
  readonly canRepeat?: () => boolean;
}

/**
 * A machine that ends meanwhile takes the way to its files along: then the work is done once more, on its disk. Throws 409 where it neither
 * ends nor answers, and what the work throws.
 */
export const throughItsEnd = async <T>({ host, detail, signal, work, canRepeat = () => true }: FileWork<T>): Promise<T> => {
  try {
    return await work(detail);
  } catch (error) {
    if (!isLoss(error) || !canRepeat()) {
      throw error;
    }
    return await work(await machineAfter(error, host, detail, signal));
  }
};

/** The machine, for another try after such an error. */
const machineAfter = async (error: HyprError, host: Host, detail: ReplicaDetail, signal: AbortSignal): Promise<ReplicaDetail> => {
  const isSupervisors = OF_SUPERVISORS.has(error.code);
  const now = isUp(detail.status) ? await endedSoon(host, detail, signal, isRefusal(error) ? REFUSED_MS : ENDING_MS) : undefined;
  if (now === undefined && isUp(detail.status) && !isSupervisors && !isRefusal(error)) {
    const { name } = detail.status;
    throw new ApiError(409, `container ${name} is about to end, or its machine does not answer: ${messageOf(error)} (try again)`);
  }
  if (now === undefined && !isSupervisors) {
    throw error;
  }
  // Another supervisor takes over from one that was just ending.
  return now ?? host.find(detail.status.id);
};

/** What is said when a guest, its machine or its supervisor goes; any other refusal is one however long one waits. */
const isLoss = (error: unknown): error is HyprError => error instanceof HyprError && (LOSSES.has(error.code) || isRefusal(error));

const OF_SUPERVISORS: ReadonlySet<ErrorCode> = new Set(['STACK_NOT_RUNNING', 'SUPERVISOR_GONE', 'SUPERVISOR_LOST']);
const LOSSES: ReadonlySet<ErrorCode> = new Set([...OF_SUPERVISORS, 'GUEST_LOST', 'GUEST_SILENT', 'VMM_DIED']);

/**
 * A guest that powers off refuses by and by: its helper dies as every program does (`machine`), and its disks are unmounted (`archive`). It may
 * mean it, too: then the machine does not end, and the refusal is the answer.
 */
const isRefusal = (error: HyprError): boolean => error.code === 'GUEST_REFUSED' && AS_IT_ENDS.has(refusalReason(error));
const AS_IT_ENDS: ReadonlySet<RefusalReason | undefined> = new Set([undefined, 'machine', 'archive']);

/** How long a machine may take to end after its guest has gone: on a busy host a power-off takes seconds. */
const ENDING_MS = 15_000;
/** Its programs end in its last moments. */
const REFUSED_MS = 5_000;

/** The machine, if it has ended meanwhile or does so in a moment. */
const endedSoon = async (host: Host, before: ReplicaDetail, signal: AbortSignal, ms: number): Promise<ReplicaDetail | undefined> => {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  if (isUp(host.find(before.status.id).status)) {
    await awaitEnd(host, before, { condition: 'not-running', signal: limit, onReady: () => {} }).catch(() => {});
  }
  const now = host.find(before.status.id);
  return isUp(now.status) ? undefined : now;
};
