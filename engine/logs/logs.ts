import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isErrno } from '../../base/errors.ts';
import type { LogRecord } from '../model/events.ts';
import { isTorn, keepOldLog, MAX_FILE, OLD, type Owner, oldPath, parseLine } from './log-file.ts';
import { FileLogWriter, type LogWriter } from './log-writer.ts';

/** The logs of a stack on disk. They survive the replacement of a replica and `down`. log-file.ts describes the format. */
export interface LogStore {
  /** Opens a replica's log for appending. `fresh` first moves the log of an earlier stack to another name. */
  writer(replica: string, service: string, options: { fresh: boolean }): Promise<LogWriter>;
  /** The filtered lines of one replica, by time. */
  read(replica: string, service: string, options: ReadOptions): AsyncIterable<LogRecord>;
  /** Names of replicas that have a log, including replicas that no longer exist. */
  names(): Promise<string[]>;
}

export interface ReadOptions {
  readonly tail?: number | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Called for every line read, including lines that the filter leaves out. */
  readonly onRead?: ((record: LogRecord) => void) | undefined;
}

export const openLogStore = (dir: string): LogStore => {
  const pathOf = (replica: string): string => join(dir, `${replica}.jsonl`);
  return {
    async writer(replica, service, options) {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      if (options.fresh) {
        await keepOldLog(pathOf(replica));
      }
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
  };
};

async function* readLog(path: string, owner: Owner, options: ReadOptions): AsyncIterable<LogRecord> {
  const ring: LogRecord[] = [];
  for await (const record of readLines([oldPath(path), path], owner)) {
    options.onRead?.(record);
    if ((options.since !== undefined && record.time < options.since) || (options.until !== undefined && record.time > options.until)) {
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

async function* readLines(paths: readonly string[], owner: Owner): AsyncIterable<LogRecord> {
  for (const path of paths) {
    try {
      // A rotated file is full-sized and belongs to this log; a smaller one belongs to an earlier stack.
      if (path.endsWith(OLD) && (await stat(path)).size < MAX_FILE / 2) {
        continue;
      }
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
