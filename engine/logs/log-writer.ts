import { type FileHandle, open, stat } from 'node:fs/promises';
import { messageOf } from '../../base/errors.ts';
import { LineSplitter } from '../../base/lines.ts';
import { logger } from '../../base/log.ts';
import type { OutputChunk } from '../../guest/types.ts';
import type { LogRecord } from '../model/events.ts';
import { formatLine, keepOldLog, lastPositions, MAX_FILE, type Owner, type Positions } from './log-file.ts';

const log = logger('logs');

export interface LogWriter {
  /** Starts a run. `resumed`: an earlier supervisor may already have written part of its output to the file. */
  begin(run: number, options: { resumed: boolean }): Promise<void>;
  /** Splits bytes into lines of at most 64 KiB and returns the lines that are now complete, each exactly once. */
  write(chunk: OutputChunk): LogRecord[];
  /** The offset up to which a stream's lines have been written; they are in the file once `settled` resolves. */
  written(stream: LogRecord['stream']): number;
  /** Returns what is left without a newline. */
  flush(): LogRecord[];
  /** Resolves when everything written so far has reached the file. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const MAX_LINE = 64 * 1024;
const STREAMS = ['stdout', 'stderr'] as const;

/** One stream of a run: the bytes after its last newline, and the offset after them (undefined until the first chunk arrives). */
interface StreamState {
  readonly lines: LineSplitter;
  position: number | undefined;
}

const newStream = (position: number | undefined): StreamState => ({ lines: new LineSplitter({ most: MAX_LINE }), position });

export class FileLogWriter implements LogWriter {
  readonly #path: string;
  readonly #owner: Owner;
  #streams: Record<LogRecord['stream'], StreamState> = { stdout: newStream(0), stderr: newStream(0) };
  #run = 0;
  #file: FileHandle;
  #pending = '';
  #writing: Promise<void> = Promise.resolve();
  #size = 0;

  constructor(path: string, file: FileHandle, owner: Owner) {
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

  async begin(run: number, { resumed }: { resumed: boolean }): Promise<void> {
    await this.#writing;
    const found: Positions = resumed ? await lastPositions(this.#path, this.#owner, run) : {};
    this.#run = run;
    this.#streams = { stdout: newStream(found.stdout), stderr: newStream(found.stderr) };
  }

  write(chunk: OutputChunk): LogRecord[] {
    const state = this.#streams[chunk.stream];
    const position = state.position ?? chunk.offset;
    const isKnown = state.position !== undefined && chunk.offset <= position;
    const records: LogRecord[] = [];
    // The bytes in between were lost, so the line they belonged to cannot be completed.
    if (chunk.offset > position) {
      records.push(...state.lines.flush().map((line) => this.#record(chunk, line, position)));
    }
    if (chunk.notice === undefined) {
      const skipped = Math.max(0, position - chunk.offset);
      records.push(...this.#split(chunk, state, skipped));
    } else if (!isKnown) {
      records.push(this.#record(chunk, Buffer.from(Buffer.from(chunk.data).toString().trim()), chunk.offset));
      state.position = chunk.offset;
    }
    this.#append(records);
    return records;
  }

  written(stream: LogRecord['stream']): number {
    const { position = 0, lines } = this.#streams[stream];
    return position - lines.pending;
  }

  flush(): LogRecord[] {
    const records = STREAMS.flatMap((stream) => {
      const { lines, position = 0 } = this.#streams[stream];
      return lines.flush().map((line) => this.#record({ stream, time: Date.now() }, line, position));
    });
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

  /** The lines that a chunk completes, leaving out the first `skipped` bytes of it. */
  #split(chunk: OutputChunk, state: StreamState, skipped: number): LogRecord[] {
    if (skipped >= chunk.data.length) {
      return [];
    }
    const begin = chunk.offset + skipped;
    state.position = chunk.offset + chunk.data.length;
    return state.lines.pushAt(chunk.data.subarray(skipped)).map(({ line, end }) => this.#record(chunk, line, begin + end));
  }

  #record({ stream, time }: Pick<OutputChunk, 'stream' | 'time'>, bytes: Uint8Array, seq: number): LogRecord {
    const line = Buffer.from(bytes).toString('utf8');
    return { time, stream, ...this.#owner, line: line.endsWith('\r') ? line.slice(0, -1) : line, run: this.#run, seq };
  }

  /** Lines that arrive while a write is in progress are written together by the next one. */
  #append(records: readonly LogRecord[]): void {
    if (records.length === 0) {
      return;
    }
    const idle = this.#pending === '';
    this.#pending += records.map(formatLine).join('');
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

  /**
   * Keeps the old file open until the new one is. Where the writer of a hook has rotated this log meanwhile, the old one is kept
   * already: to put the new one in its place would lose it.
   */
  async #rotate(): Promise<void> {
    const old = this.#file;
    const [own, current] = await Promise.all([old.stat(), stat(this.#path).catch(() => undefined)]);
    if (current?.ino === own.ino) {
      await keepOldLog(this.#path);
    }
    this.#file = await open(this.#path, 'a', 0o600);
    this.#size = (await this.#file.stat()).size;
    await old.close();
  }
}
