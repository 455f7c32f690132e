import { closeSync, openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { isErrno } from './errors.ts';

/** The trace file, as an absolute path, because child processes run in other folders. */
export const tracePath = process.env.HYPR_TRACE ? resolve(process.env.HYPR_TRACE) : undefined;

/** Whether tracing is on; the only check on every path when it is off. */
export const isTracing = tracePath !== undefined;

/** The lane of spans that belong to no replica. */
const MAIN = 'main';
const nothing = (): void => {};

type SpanListener = (name: string, ms: number) => void;
const listeners = new Map<string, SpanListener>();

/**
 * Calls `listener` at the end of each span of a lane that begins from now on, whether or not tracing is on. Returns a
 * function that removes the listener.
 */
export const listenToSpans = (lane: string, listener: SpanListener): (() => void) => {
  const whileWanted: SpanListener = (name, ms) => listeners.get(lane) === whileWanted && listener(name, ms);
  listeners.set(lane, whileWanted);
  return () => {
    if (listeners.get(lane) === whileWanted) {
      listeners.delete(lane);
    }
  };
};

/**
 * Begins a span; the returned function ends it. `lane` is the row in which it is drawn, such as a replica's name.
 * Format: Chrome's Trace Event Format, a JSON array whose closing bracket may be missing; all processes append whole
 * lines to the same file (chrome://tracing, https://ui.perfetto.dev). If the file cannot be written, nothing is traced.
 */
export const beginSpan = (name: string, lane: string = MAIN): (() => void) => {
  const listener = listeners.get(lane);
  if (!isTracing && listener === undefined) {
    return nothing;
  }
  const begin = now();
  return () => {
    const end = now();
    if (isTracing) {
      complete({ name, lane, begin, end });
    }
    listener?.(name, (end - begin) / 1000);
  };
};

/** Traces `work` as a span, whether it succeeds or fails. */
export const traced = async <T>(name: string, lane: string | undefined, work: () => Promise<T>): Promise<T> => {
  const end = beginSpan(name, lane);
  try {
    return await work();
  } finally {
    end();
  }
};

/** Marks a point in time. */
export const markTrace = (name: string, lane: string = MAIN): void => {
  if (isTracing) {
    append({ name, ph: 'i', s: 't', ts: now(), pid: process.pid, tid: laneId(lane) });
  }
};

/** Names this process in the trace, and records the time it took from its start until now. */
export const traceProcess = (name: string): void => {
  if (isTracing) {
    append({ name: 'process_name', ph: 'M', pid: process.pid, args: { name } });
    complete({ name: 'start of node', lane: MAIN, begin: performance.timeOrigin * 1000, end: now() });
  }
};

/** Microseconds since 1970, so that all processes of the host share one clock. */
const now = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);

const complete = (span: { name: string; lane: string; begin: number; end: number }): void => {
  const ts = Math.round(span.begin);
  append({ name: span.name, ph: 'X', ts, dur: Math.max(0, span.end - ts), pid: process.pid, tid: laneId(span.lane) });
};

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
