import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isErrno } from '../../base/errors.ts';
import type { LogRecord } from '../model/events.ts';
import { isTorn, OLD, type Owner, oldPath, parseLine } from './log-file.ts';
import { FileLogWriter, type LogWriter } from './log-writer.ts';

/**
 * The logs of a stack on disk. They survive `down`, until there is a stack of that name again, and the replacement of a replica, whose
 * successor goes on in the same file. log-file.ts describes the format.
 */
export interface LogStore {
  /** Opens a replica's log for appending. */
  writer(replica: string, service: string): Promise<LogWriter>;
  /** The filtered lines of one replica, by time. */
  read(replica: string, service: string, options: ReadOptions): AsyncIterable<LogRecord>;
  /** Names of replicas that have a log, including replicas that no longer exist. */
  names(): Promise<string[]>;
  /** Removes the logs of all replicas: they belong to a stack that was removed. */
  clear(): Promise<void>;
}

export interface ReadOptions {
  readonly tail?: number | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Only runs that began since then, in milliseconds: those of the replica that was created then, not of one that it replaced. */
  readonly createdAt?: number | undefined;
  /** Called for every line read, including lines that the filter leaves out. */
  readonly onRead?: ((record: LogRecord) => void) | undefined;
}

export const openLogStore = (dir: string): LogStore => {
  const pathOf = (replica: string): string => join(dir, `${replica}.jsonl`);
  return {
    async writer(replica, service) {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      const file = await open(pathOf(replica), 'a', 0o600);
      if (await isTorn(pathOf(replica))) {
        await file.appendFile('\n');
      }
      return new FileLogWriter(pathOf(replica), file, { replica, service });
    },
    read: (replica, service, options) => readLog(pathOf(replica), { replica, service }, options),
    async names() {
      const files = await readdir(dir).catch(() => [] as string[]);
      return files.filter((file) => file.endsWith('.jsonl') && !file.endsWith(OLD)).map((file) => file.slice(0, -'.jsonl'.length));
    },
    async clear() {
      const files = await readdir(dir).catch(() => [] as string[]);
      await Promise.all(files.filter((file) => file.endsWith('.jsonl')).map((file) => rm(join(dir, file), { force: true })));
    },
  };
};

async function* readLog(path: string, owner: Owner, options: ReadOptions): AsyncIterable<LogRecord> {
  const ring: LogRecord[] = [];
  for await (const record of readLines([oldPath(path), path], owner)) {
    options.onRead?.(record);
    if (!isWanted(record, options)) {
      continue;
    }
    if (options.tail === undefined) {
      yield record;
      continue;
    }
    ring.push(record);
    if (ring.length > options.tail) {
      ring.shift();
    }
  }
  yield* ring;
}

const isWanted = ({ run, time }: LogRecord, { since, until, createdAt }: ReadOptions): boolean =>
  // A run's number is the time at which it began.
  (createdAt === undefined || (run ?? time) >= createdAt) &&
  (since === undefined || time >= since) &&
  (until === undefined || time <= until);

async function* readLines(paths: readonly string[], owner: Owner): AsyncIterable<LogRecord> {
  for (const path of paths) {
    try {
      for await (const line of createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY })) {
        const record = parseLine(line, owner);
        if (record !== undefined) {
          yield record;
        }
      }
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) {
        throw error;
      }
    }
  }
}
