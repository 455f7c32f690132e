import { appendFileSync, closeSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, rmSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { onAbort } from '../../base/abort.ts';
import { isErrno, messageOf } from '../../base/errors.ts';
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

/** Two files of this size: some ten thousand events. */
const MOST_BYTES = 2 * 1024 * 1024;
/** Labels come from images. */
const LONGEST_LINE = 64 * 1024;

/** Appends an event; what cannot be written is lost, and told in the log, for nothing depends on it. */
export const recordEvent = (folder: string, event: RecordedEvent): void => {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    appendFileSync(currentFile(folder), lineOf(event), { mode: 0o600 });
  } catch (error) {
    log.warn('an event was not recorded', { error: messageOf(error) });
  }
};

export interface FollowEvents {
  /** Milliseconds since the epoch, both inclusive. With neither, what happens from now on. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Ends it in order. */
  readonly signal: AbortSignal;
}

/** Recorded events in their order, then those that happen, each once, until `until` or the abort. One `until` in the past ends it at once. */
export async function* followEvents(folder: string, { since = 0, until, signal }: FollowEvents): AsyncGenerator<RecordedEvent> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Before the first reading, so that nothing falls between.
  const changes = new AsyncQueue<true>({ keepNewest: 1 });
  const watcher = watch(folder, () => void changes.push(true));
  watcher.on('error', (error) => log.warn('the record of events is not watched', { error: error.message }));
  const leave = onAbort(signal, () => changes.end());
  const stop = until === undefined ? () => {} : afterLong(Math.max(0, until - Date.now()), () => changes.end());
  try {
    const reader = new RecordReader(folder, since === 0 && until === undefined);
    const isOver = (): boolean => signal.aborted || (until !== undefined && until < Date.now());
    do {
      for (const event of reader.read()) {
        if (event.time >= since && (until === undefined || event.time <= until)) {
          yield event;
        }
      }
    } while (!isOver() && !(await changes.next()).done);
    yield* rest(reader, until);
  } finally {
    leave();
    stop();
    watcher.close();
  }
}

/** What was recorded between the last reading and the end. */
function* rest(reader: RecordReader, until: number | undefined): Generator<RecordedEvent> {
  if (until !== undefined) {
    yield* reader.read().filter(({ time }) => time <= until);
  }
}

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
      const end = text.lastIndexOf(0x0a) + 1;
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
    throw error;
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

const numbersOf = (folder: string): number[] =>
  readdirSync(folder)
    .flatMap((name) => (/^\d{1,9}\.jsonl$/.test(name) ? [Number.parseInt(name, 10)] : []))
    .sort((a, b) => a - b);

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** The newest file, or the one after it when that is full. */
const currentFile = (folder: string): string => {
  const numbers = numbersOf(folder);
  const last = numbers.at(-1) ?? 1;
  if (sizeOf(join(folder, nameOf(last))) < MOST_BYTES) {
    return join(folder, nameOf(last));
  }
  for (const number of numbers.filter((each) => each < last)) {
    rmSync(join(folder, nameOf(number)), { force: true });
  }
  return join(folder, nameOf(last + 1));
};
