import {
  appendFileSync,
  closeSync,
  type FSWatcher,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  watch,
} from 'node:fs';
import { join } from 'node:path';
import { onAbort } from '../../base/abort.ts';
import { HyprError, isErrno, messageOf } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import { logger } from '../../base/log.ts';
import { afterLong } from '../../base/long-timer.ts';
import { AsyncQueue } from '../../base/queue.ts';
import type { RecordedEvent } from '../model/events.ts';

/*
 * What happened to the machines, images, networks and volumes of a home: lines of JSON in `events/N.jsonl`, which every process of the home
 * appends to. A file that is full is followed by the next number, and all but the one before go. Nothing is ever renamed, so that several
 * writers need no lock: one that still appends to the file before loses nothing.
 */

const log = logger('events');

/** Two files of this size: some thousand events. */
const MOST_BYTES = 2 * 1024 * 1024;
/** Labels come from images. */
const LONGEST_LINE = 64 * 1024;

/**
 * Appends an event. On a full disk the older file makes room for it, for clients that listen hear of what happens by the record alone. What
 * cannot be written even so is lost, and told in the log.
 */
export const recordEvent = (folder: string, event: RecordedEvent): void => {
  const line = lineOf(event);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    try {
      append(currentFile(folder), line);
    } catch (error) {
      if (!isErrno(error, 'ENOSPC', 'EDQUOT')) {
        throw error;
      }
      removeOlder(folder);
      append(currentFile(folder), line);
    }
  } catch (error) {
    log.warn('an event was not recorded', { error: messageOf(error) });
  }
};

/** On a line of its own, also after one that a full disk or a killed writer tore. */
const append = (path: string, line: string): void => {
  const file = openSync(path, 'a+', 0o600);
  try {
    const last = Buffer.alloc(1);
    const { size } = fstatSync(file);
    const isTorn = size > 0 && readSync(file, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
    appendFileSync(file, isTorn ? `\n${line}` : line);
  } finally {
    closeSync(file);
  }
};

const NEWLINE = 0x0a;

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

/** Reads each line once, whichever of the files it is in. */
class RecordReader {
  readonly #folder: string;
  readonly #read = new Map<number, number>();

  /** `skips`: what is there already. */
  constructor(folder: string, skips: boolean) {
    this.#folder = folder;
    for (const number of skips ? numbersOf(folder) : []) {
      this.#read.set(number, sizeOf(join(folder, nameOf(number))));
    }
  }

  read(): RecordedEvent[] {
    return numbersOf(this.#folder).flatMap((number) => {
      const text = readFrom(join(this.#folder, nameOf(number)), this.#read.get(number) ?? 0);
      const end = text.lastIndexOf(NEWLINE) + 1;
      this.#read.set(number, (this.#read.get(number) ?? 0) + end);
      return text.subarray(0, end).toString().split('\n').flatMap(eventOf);
    });
  }
}

/** A file that went meanwhile is empty. */
const readFrom = (path: string, position: number): Buffer => {
  try {
    const file = openSync(path, 'r');
    try {
      const data = Buffer.alloc(Math.max(0, fstatSync(file).size - position));
      return data.subarray(0, data.length === 0 ? 0 : readSync(file, data, 0, data.length, position));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return Buffer.alloc(0);
    }
    throw diskError(error, path);
  }
};

/** Nothing for a line that a full disk or a killed writer tore. */
const eventOf = (line: string): RecordedEvent[] => {
  try {
    const event = JSON.parse(line) as RecordedEvent;
    return typeof event?.time === 'number' && typeof event.attributes === 'object' ? [event] : [];
  } catch {
    return [];
  }
};

const lineOf = (event: RecordedEvent): string => {
  const line = `${JSON.stringify(event)}\n`;
  const { name = '', image = '' } = event.attributes;
  return line.length <= LONGEST_LINE ? line : `${JSON.stringify({ ...event, attributes: { image, name } })}\n`;
};

const nameOf = (number: number): string => `${number}.jsonl`;

/** None where the folder is not there. */
const numbersOf = (folder: string): number[] =>
  namesIn(folder)
    .flatMap((name) => (/^\d{1,9}\.jsonl$/.test(name) ? [Number.parseInt(name, 10)] : []))
    .sort((a, b) => a - b);

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw diskError(error, folder);
  }
};

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** The newest file, or the one after it when that is full. */
const currentFile = (folder: string): string => {
  const last = numbersOf(folder).at(-1) ?? 1;
  if (sizeOf(join(folder, nameOf(last))) < MOST_BYTES) {
    return join(folder, nameOf(last));
  }
  removeOlder(folder);
  return join(folder, nameOf(last + 1));
};

/** All but the newest file. */
const removeOlder = (folder: string): void => {
  for (const number of numbersOf(folder).slice(0, -1)) {
    rmSync(join(folder, nameOf(number)), { force: true });
  }
};
