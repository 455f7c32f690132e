import { PassThrough } from 'node:stream';
import { LineSplitter } from '../../../base/lines.ts';
import type { Body } from '../http/body.ts';
import { ApiError } from '../http/errors.ts';
import { Query } from '../http/query.ts';
import type { Reply } from '../http/reply.ts';
import { NEWEST, type Routes } from '../http/router.ts';
import { type Sink, sinkOf } from '../http/sink.ts';

/** A request to a route of the JSON API that comes over no HTTP. */
export interface RouteRequest {
  /** `METHOD /path`. */
  readonly route: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** An object, or the bytes of an archive. */
  readonly body: Readonly<Record<string, unknown>> | AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
}

/** A longer line comes in pieces. */
const MOST_LINE = 1 << 20;

/** What a route answers: an object, or lines until it ends. */
export type Answer = { readonly json: unknown } | { readonly lines: AsyncIterable<string> };

/** Calls the handlers of routes in this process. Throws what they throw before they answer. */
export const routeCaller = (routes: Routes): ((request: RouteRequest) => Promise<Answer>) => {
  return ({ route, params, query, body, signal }) =>
    new Promise((resolve, reject) => {
      const handler = routes[route];
      if (handler === undefined) {
        reject(new ApiError(404, `there is no ${route}`));
        return;
      }
      const pipe = new PassThrough();
      // Who reads is told by its iterator; before anybody does, `reject` tells, and nothing else may end this process.
      pipe.on('error', () => {});
      const reply = replyTo(pipe, resolve);
      const call = { params, query: new Query(query), version: NEWEST, headers: {}, body: bodyOf(body), reply, signal };
      Promise.resolve(handler(call)).catch((error: Error) => {
        pipe.destroy(error);
        reject(error);
      });
    });
};

const replyTo = (pipe: PassThrough, answer: (answer: Answer) => void): Reply => {
  let hasStarted = false;
  const start = (with_: Answer): void => {
    hasStarted = true;
    answer(with_);
  };
  const stream = (): Sink => {
    start({ lines: linesOf(pipe) });
    return sinkOf(pipe);
  };
  const none = (): never => {
    throw new ApiError(501, 'this takes a connection over, which is not to be had here');
  };
  return {
    get hasStarted() {
      return hasStarted;
    },
    json: (value) => start({ json: value }),
    empty: () => start({ json: {} }),
    stream,
    hijack: none,
    webSocket: async () => none(),
  };
};

async function* linesOf(pipe: PassThrough): AsyncGenerator<string> {
  const splitter = new LineSplitter({ most: MOST_LINE });
  for await (const chunk of pipe) {
    for (const line of splitter.push(chunk as Buffer)) {
      yield line.toString().trimEnd();
    }
  }
  for (const line of splitter.flush()) {
    yield line.toString().trimEnd();
  }
}

const bodyOf = (body: RouteRequest['body']): Body => {
  const isBytes = Symbol.asyncIterator in body;
  return {
    isEmpty: false,
    bytes: isBytes ? (body as AsyncIterable<Uint8Array>) : nothing(),
    json: async () => (isBytes ? {} : (body as Readonly<Record<string, unknown>>)),
  };
};

async function* nothing(): AsyncGenerator<Uint8Array> {
  // An object came instead.
}
