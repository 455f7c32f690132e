import { open, rename } from 'node:fs/promises';
import { isErrno } from '../../base/errors.ts';
import type { LogRecord } from '../model/events.ts';

/*
 * A replica's log: a file of JSON lines, `{"t":ms,"s":"stdout","l":"…","r":run,"q":seq}`, as LogRecord has them; files of older
 * versions are without run and seq. When it passes 64 MiB it becomes the old one, and the one before that is dropped.
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

/** Undefined for the last line of a file whose writer was killed: it may be torn. */
export const parseLine = (text: string, owner: Owner): LogRecord | undefined => {
  try {
    const { t, s, l, r, q } = JSON.parse(text) as { t: number; s: LogRecord['stream']; l: string; r?: number; q?: number };
    return { time: t, stream: s, ...owner, line: l, ...(r === undefined || q === undefined ? {} : { run: r, seq: q }) };
  } catch {
    return undefined;
  }
};

export type Positions = Partial<Record<LogRecord['stream'], number>>;

/** What the guest can have sent and not been told of as kept is less than this, in lines of any length. */
const TAIL = 4 * 1024 * 1024;

/** The `seq` of the last lines of a run, of each stream that has one among the last megabytes. */
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

/** Whether its writer was killed in the middle of a line. */
export const isTorn = async (path: string): Promise<boolean> => {
  const last = await readTail(path, 1);
  return last !== '' && last !== '\n';
};

const readTail = async (path: string, most = TAIL): Promise<string> => {
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
