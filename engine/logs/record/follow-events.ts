import { type FSWatcher, mkdirSync, watch } from 'node:fs';
import { onAbort } from '../../../base/abort.ts';
import { HyprError, isErrno, messageOf } from '../../../base/errors.ts';
import { diskError } from '../../../base/host/files.ts';
import { afterLong } from '../../../base/long-timer.ts';
import { AsyncQueue } from '../../../base/queue.ts';
import type { RecordedEvent } from '../../model/events.ts';
import { RecordReader } from './record-reader.ts';

export interface FollowEvents {
  /** Milliseconds since the epoch, both inclusive. With neither, what happens from now on. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Ends it in order. */
  readonly signal: AbortSignal;
}

/**
 * Recorded events in their order, then those that happen, each once, until `until` or the abort. One `until` in the past ends it at once.
 * Throws HYPR_PERMISSION, HYPR_DISK_FULL, and HYPR_UNSUPPORTED where the folder cannot be watched.
 */
export async function* followEvents(folder: string, { since, until, signal }: FollowEvents): AsyncGenerator<RecordedEvent> {
  const changes = new AsyncQueue<true>({ keepNewest: 1 });
  const isOver = (): boolean => signal.aborted || (until !== undefined && until < Date.now());
  // Before the first reading, so that nothing falls between.
  const watcher = isOver() ? undefined : watchRecord(folder, changes);
  const leave = onAbort(signal, () => changes.end());
  const stop = until === undefined ? () => {} : afterLong(Math.max(0, until - Date.now()), () => changes.end());
  // One `since` that is still to come leaves out the past and nothing else, as in docker.
  const from = Math.min(since ?? 0, Date.now());
  const isMeant = ({ time }: RecordedEvent): boolean => time >= from && (until === undefined || time <= until);
  try {
    const reader = new RecordReader(folder, since === undefined && until === undefined);
    for (let isLast = false; ; ) {
      for (const event of reader.read().filter(isMeant)) {
        if (signal.aborted) {
          return;
        }
        yield event;
      }
      if (isLast || signal.aborted) {
        return;
      }
      // What was recorded between the last reading and the end is read as well.
      isLast = isOver() || (await changes.next()).done === true;
    }
  } finally {
    leave();
    stop();
    watcher?.close();
  }
}

/** Pushes at each change of the folder, which is made where it is not there. */
const watchRecord = (folder: string, changes: AsyncQueue<true>): FSWatcher => {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskError(error, folder);
  }
  try {
    return watch(folder, () => void changes.push(true)).on('error', (error) => changes.fail(unwatched(folder, error)));
  } catch (error) {
    throw unwatched(folder, error);
  }
};

/** ENOSPC is the kernel's word for no more watches here, not for a full disk. */
const unwatched = (folder: string, error: unknown): HyprError =>
  new HyprError('HYPR_UNSUPPORTED', `the record of events in ${folder} cannot be watched: ${messageOf(error)}`, {
    hint: isErrno(error, 'ENOSPC', 'EMFILE')
      ? 'allow more: sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024; or ask for past events: --until 0s'
      : 'ask for past events: --until 0s',
    cause: error,
  });
