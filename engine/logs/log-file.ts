import { open, rename } from 'node:fs/promises';
import { isErrno } from '../../base/errors.ts';
import type { LogRecord } from '../model/events.ts';

/*
 * A replica's log is a file of JSON lines, `{"t":ms,"s":"stdout","l":"…","r":run,"q":seq}`, with the members of
 * LogRecord. Files written by older versions have no run and seq. A file that grows past 64 MiB is rotated to the old
 * one, and the previous old one is deleted.
 */

export interface Owner {
  readonly replica: string;
  readonly service: string;
}

export const MAX_FILE = 64 * 1024 * 1024;

export const OLD = '.old.jsonl';
export const oldPath = (path: string): string => path.replace(/\.jsonl$/, OLD);

export const keepOldLog = async (path: string): Promise<void> => {
  try {
    await rename(path, oldPath(path));
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) {
      throw error;
    }
  }
};

export const formatLine = ({ time, stream, line, run, seq }: LogRecord): string =>
  `${JSON.stringify({ t: time, s: stream, l: line, r: run, q: seq })}\n`;

/** Undefined for a line that cannot be parsed: the last line is torn if its writer was killed. */
export const parseLine = (text: string, owner: Owner): LogRecord | undefined => {
  try {
    const { t, s, l, r, q } = JSON.parse(text) as { t: number; s: LogRecord['stream']; l: string; r?: number; q?: number };
    return { time: t, stream: s, ...owner, line: l, ...(r === undefined || q === undefined ? {} : { run: r, seq: q }) };
  } catch {
    return undefined;
  }
};

export type Positions = Partial<Record<LogRecord['stream'], number>>;

/** Upper bound, in bytes of lines of any length, on what the guest can have sent without being told that it is kept. */
const TAIL = 4 * 1024 * 1024;

/** The highest `seq` of a run for each stream that has a line within the last megabytes of the file. */
export const lastPositions = async (path: string, owner: Owner, run: number): Promise<Positions> => {
  const found: Positions = {};
  for (const file of [path, oldPath(path)]) {
    for (const text of (await readTail(file)).split('\n').reverse()) {
      const record = parseLine(text, owner);
      if (record?.run !== undefined && record.run < run) {
        return found;
      }
      if (record?.run === run && record.seq !== undefined) {
        found[record.stream] ??= record.seq;
      }
      if (found.stdout !== undefined && found.stderr !== undefined) {
        return found;
      }
    }
  }
  return found;
};

/** Whether the file ends in the middle of a line because its writer was killed. */
export const isTorn = async (path: string): Promise<boolean> => {
  const last = await readTail(path, 1);
  return last !== '' && last !== '\n';
};

/** The last bytes of a file, which may begin in the middle of a line; '' when there is none. */
export const readTail = async (path: string, most = TAIL): Promise<string> => {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const length = Math.min(size, most);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return '';
    }
    throw error;
  }
};
