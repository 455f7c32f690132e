import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isErrno, messageOf } from '../../base/errors.ts';
import { LineSplitter } from '../../base/lines.ts';
import { logger } from '../../base/log.ts';
import type { LogRecord } from '../model/events.ts';

const log = logger('logs');

/**
 * Logs of a stack on disk: one file of JSON lines per replica, `{"t":ms,"s":"stdout","l":"…"}`, kept when
 * a replica is replaced and after `down`; the older half is dropped when a file passes 64 MiB.
 */
export interface LogStore {
  /** Opens the log of a replica for appending; `fresh` keeps the log of an earlier stack under another name. */
  writer(replica: string, service: string, options: { fresh: boolean }): Promise<LogWriter>;
  /** Lines of one replica in order of time, filtered. */
  read(replica: string, service: string, options: ReadOptions): AsyncIterable<LogRecord>;
  /** Replicas that have a log, also ones that no longer exist. */
  names(): Promise<string[]>;
}

export interface LogWriter {
  /** Splits bytes into lines; a line longer than 64 KiB is cut there. Gives the lines that became complete. */
  write(stream: LogRecord['stream'], data: Uint8Array, time: number): LogRecord[];
  /** Gives what was left without a newline. */
  flush(): LogRecord[];
  /** Resolves when everything written so far has reached the file. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export interface ReadOptions {
  readonly tail?: number | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

export const openLogStore = (dir: string): LogStore => {
  const pathOf = (replica: string): string => join(dir, `${replica}.jsonl`);
  return {
    async writer(replica, service, options) {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      if (options.fresh) {
        await keepOldLog(pathOf(replica));
      }
      return new FileLogWriter(pathOf(replica), await open(pathOf(replica), 'a', 0o600), { replica, service });
    },
    read: (replica, service, options) => readLog(pathOf(replica), { replica, service }, options),
    async names() {
      const files = await readdir(dir).catch(() => [] as string[]);
      return files.filter((file) => file.endsWith('.jsonl') && !file.endsWith(OLD)).map((file) => file.slice(0, -'.jsonl'.length));
    },
  };
};

const OLD = '.old.jsonl';
const oldPath = (path: string): string => path.replace(/\.jsonl$/, OLD);

const keepOldLog = async (path: string): Promise<void> => {
  try {
    await rename(path, oldPath(path));
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) {
      throw error;
    }
  }
};

const MAX_LINE = 64 * 1024;
const MAX_FILE = 64 * 1024 * 1024;

class FileLogWriter implements LogWriter {
  readonly #path: string;
  readonly #owner: { replica: string; service: string };
  readonly #lines = { stdout: new LineSplitter({ most: MAX_LINE }), stderr: new LineSplitter({ most: MAX_LINE }) };
  #file: FileHandle;
  #pending = '';
  #writing: Promise<void> = Promise.resolve();
  #size = 0;

  constructor(path: string, file: FileHandle, owner: { replica: string; service: string }) {
    this.#path = path;
    this.#file = file;
    this.#owner = owner;
    this.#writing = file.stat().then(
      (info) => {
        this.#size = info.size;
      },
      () => {},
    );
  }

  write(stream: LogRecord['stream'], data: Uint8Array, time: number): LogRecord[] {
    const records = this.#lines[stream].push(data).map((line) => this.#record(stream, line, time));
    this.#append(records);
    return records;
  }

  flush(): LogRecord[] {
    const records = (['stdout', 'stderr'] as const).flatMap((stream) =>
      this.#lines[stream].flush().map((line) => this.#record(stream, line, Date.now())),
    );
    this.#append(records);
    return records;
  }

  settled(): Promise<void> {
    return this.#writing;
  }

  async close(): Promise<void> {
    this.flush();
    await this.#writing;
    await this.#file.close();
  }

  #record(stream: LogRecord['stream'], bytes: Buffer, time: number): LogRecord {
    const line = bytes.toString('utf8');
    return { time, stream, ...this.#owner, line: line.endsWith('\r') ? line.slice(0, -1) : line };
  }

  /** Lines that arrive while a write is under way go out together with the next one. */
  #append(records: readonly LogRecord[]): void {
    if (records.length === 0) {
      return;
    }
    const idle = this.#pending === '';
    this.#pending += records.map(({ time, stream, line }) => `${JSON.stringify({ t: time, s: stream, l: line })}\n`).join('');
    if (idle) {
      this.#writing = this.#writing.then(() => this.#drain());
    }
  }

  async #drain(): Promise<void> {
    const text = this.#pending;
    this.#pending = '';
    // A full disk must not take the stack down: lines are lost, the service is not.
    try {
      if (this.#size + text.length > MAX_FILE) {
        await this.#rotate();
      }
      await this.#file.appendFile(text);
      this.#size += Buffer.byteLength(text);
    } catch (error) {
      log.warn('log lines lost', { replica: this.#owner.replica, error: messageOf(error) });
    }
  }

  /** The old file stays open until the new one is. */
  async #rotate(): Promise<void> {
    await keepOldLog(this.#path);
    const old = this.#file;
    this.#file = await open(this.#path, 'a', 0o600);
    this.#size = 0;
    await old.close();
  }
}

async function* readLog(path: string, owner: { replica: string; service: string }, options: ReadOptions): AsyncIterable<LogRecord> {
  const ring: LogRecord[] = [];
  for await (const record of readLines([oldPath(path), path], owner)) {
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

async function* readLines(paths: readonly string[], owner: { replica: string; service: string }): AsyncIterable<LogRecord> {
  for (const path of paths) {
    try {
      // A full-sized old file was rotated away and belongs to this log; a smaller one is an earlier stack's.
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

const parseLine = (line: string, owner: { replica: string; service: string }): LogRecord | undefined => {
  try {
    const { t, s, l } = JSON.parse(line) as { t: number; s: LogRecord['stream']; l: string };
    return { time: t, stream: s, ...owner, line: l };
  } catch {
    // The last line of a file whose writer was killed may be torn.
    return undefined;
  }
};
