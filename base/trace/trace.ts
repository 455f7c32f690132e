import { AsyncLocalStorage } from 'node:async_hooks';
import { HyprError } from '../errors.ts';
import { logger } from '../log.ts';
import { tracePath, writeMark, writeProcess, writeSpan } from './chrome-file.ts';
import { newContext, OtlpExporter, otlpTarget, readTraceParent, type SpanContext, writeTraceParent } from './otlp.ts';

export { tracePath } from './chrome-file.ts';

const target = otlpTarget(process.env)?.target;
let problem: string | undefined;
const exporter =
  target === undefined
    ? undefined
    : new OtlpExporter(target, (why) => {
        if (problem !== why) {
          problem = why;
          logger('trace').warn('spans were not sent', { why });
        }
      });

/** Whether tracing is on; the only check on every path when it is off. */
export const isTracing = tracePath !== undefined || exporter !== undefined;

/** The lane of spans that belong to no replica. */
const MAIN = 'main';
const nothing = (): void => {};

/** Below which span this goes on. */
const current = exporter === undefined ? undefined : new AsyncLocalStorage<SpanContext | undefined>();

/** Who started this process, if that is traced, too. */
const starter = exporter === undefined ? undefined : readTraceParent(process.env.TRACEPARENT);

const parentNow = (): SpanContext | undefined => current?.getStore() ?? starter;

/** The span that this runs in as W3C's `traceparent`, for a process or a server that is asked to do a part of it; undefined: spans are not sent. */
export const traceParent = (): string | undefined => {
  const context = exporter === undefined ? undefined : parentNow();
  return context === undefined ? undefined : writeTraceParent(context);
};

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

interface Begun {
  readonly name: string;
  readonly lane: string;
  readonly kind: 'internal' | 'server';
  readonly context: SpanContext | undefined;
  readonly parent: SpanContext | undefined;
}

/**
 * Begins a span; the returned function ends it, with the error it failed with. `lane` is the row in which it is drawn, such as a replica's
 * name. Where HYPR_TRACE says, in Chrome's Trace Event Format: a JSON array whose closing bracket may be missing; all processes append whole
 * lines to the same file (chrome://tracing, https://ui.perfetto.dev). If the file cannot be written, nothing is traced. To a collector where
 * HYPR_OTLP_ENABLED says so (otlp.ts).
 */
const begin = (span: Begun): ((error?: unknown) => void) => {
  const listener = listeners.get(span.lane);
  if (!isTracing && listener === undefined) {
    return nothing;
  }
  const from = now();
  return (error) => {
    const end = now();
    const { name, lane } = span;
    if (tracePath !== undefined) {
      writeSpan({ name, lane, begin: from, end });
    }
    if (span.context !== undefined) {
      const { context, parent, kind } = span;
      exporter?.add({ ...context, parent, name, lane, kind, begin: from, end, error: error === undefined ? undefined : codeOf(error) });
    }
    listener?.(name, (end - from) / 1000);
  };
};

const codeOf = (error: unknown): string => (error instanceof HyprError ? error.code : error instanceof Error ? error.name : 'unknown');

const below = (parent: SpanContext | undefined): Pick<Begun, 'context' | 'parent'> => ({
  parent,
  context: exporter === undefined ? undefined : newContext(parent),
});

/** Traces `work` as a span, whether it succeeds or fails; what it begins is below it. */
export const traced = <T>(name: string, lane: string | undefined, work: () => Promise<T>): Promise<T> =>
  within({ name, lane: lane ?? MAIN, kind: 'internal', ...below(parentNow()) }, work);

/** Traces the answer to a request, below the span of who asks, if its `traceparent` says one, else as a trace of its own. */
export const tracedRequest = <T>(name: string, asker: string | undefined, work: () => Promise<T>): Promise<T> =>
  within({ name, lane: MAIN, kind: 'server', ...below(exporter && readTraceParent(asker)) }, work);

const within = async <T>(span: Begun, work: () => Promise<T>): Promise<T> => {
  const end = begin(span);
  try {
    const result = await (current === undefined ? work() : current.run(span.context, work));
    end();
    return result;
  } catch (error) {
    end(error);
    throw error;
  }
};

/** Marks a point in time; in the file alone. */
export const markTrace = (name: string, lane: string = MAIN): void => {
  if (tracePath !== undefined) {
    writeMark(name, lane, now());
  }
};

/** Names this process in the file, and records the time it took from its start until now. */
export const traceProcess = (name: string): void => {
  if (tracePath !== undefined) {
    writeProcess(name);
    writeSpan({ name: 'start of node', lane: MAIN, begin: performance.timeOrigin * 1000, end: now() });
  }
};

/** Sends the spans that are left, for at most so long; returns why some were not sent. Never rejects. */
export const flushTrace = async (withinMs: number): Promise<string | undefined> => {
  await exporter?.flush(withinMs);
  return problem;
};

/** Microseconds since 1970, so that all processes of the host share one clock. */
const now = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);
