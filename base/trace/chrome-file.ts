import { closeSync, openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { isErrno } from '../errors.ts';

/** The trace file, as an absolute path, because child processes run in other folders. */
export const tracePath = process.env.HYPR_TRACE ? resolve(process.env.HYPR_TRACE) : undefined;

/** A span in a lane, in microseconds since 1970. */
export const writeSpan = (span: { name: string; lane: string; begin: number; end: number }): void => {
  const ts = Math.round(span.begin);
  append({ name: span.name, ph: 'X', ts, dur: Math.max(0, span.end - ts), pid: process.pid, tid: laneId(span.lane) });
};

/** A point in time. */
export const writeMark = (name: string, lane: string, ts: number): void =>
  append({ name, ph: 'i', s: 't', ts, pid: process.pid, tid: laneId(lane) });

/** Names this process. */
export const writeProcess = (name: string): void => append({ name: 'process_name', ph: 'M', pid: process.pid, args: { name } });

const lanes = new Map<string, number>();

const laneId = (lane: string): number => {
  const known = lanes.get(lane);
  if (known !== undefined) {
    return known;
  }
  const id = lanes.size + 1;
  lanes.set(lane, id);
  append({ name: 'thread_name', ph: 'M', pid: process.pid, tid: id, args: { name: lane } });
  return id;
};

let file: number | undefined;

/** One write per line, in append mode, so that lines of several processes do not mix. */
const append = (event: object): void => {
  try {
    file ??= openTrace();
    if (file >= 0) {
      writeSync(file, `${JSON.stringify(event)},\n`);
    }
  } catch {
    file = -1;
  }
};

const openTrace = (): number => {
  const path = tracePath ?? '';
  try {
    const made = openSync(path, 'ax', 0o600);
    writeSync(made, '[\n');
    closeSync(made);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) {
      throw error;
    }
  }
  return openSync(path, 'a', 0o600);
};
