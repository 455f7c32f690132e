import { onAbort } from '../../../base/abort.ts';
import { CallError } from '../call-error.ts';
import { END, envelope, readEnvelopes } from '../envelope.ts';
import type { ErrorJson } from '../gen/hypr_pb.ts';
import { type HttpBody, HttpConnection, type HttpResponse } from './http-connection.ts';

/*
 * Calls in the Connect protocol (https://connectrpc.com/docs/protocol): a unary call is a POST of one message answered
 * by one message, a stream is a POST of messages in envelopes.
 */

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
}

export interface Method<Request, Response> {
  readonly path: string;
  readonly contentType: string;
  /** Parts of the message, to be concatenated. */
  readonly encode: (request: Request) => readonly Uint8Array[];
  /** May throw any error when the bytes are not a message. */
  readonly decode: (message: Buffer) => Response;
}

/** Codes for HTTP statuses whose body is not in the protocol's form. */
const CODES: Readonly<Record<number, string>> = {
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'unimplemented',
  503: 'unavailable',
};

/** Connections to one socket. Each call has one to itself; free ones are reused. */
export class Connections {
  readonly #socket: string;
  readonly #lastWords: () => readonly string[];
  readonly #open = new Set<HttpConnection>();

  /** `lastWords` returns what the process behind the socket wrote when it failed; called when a connection breaks. */
  constructor(socket: string, lastWords: () => readonly string[] = () => []) {
    this.#socket = socket;
    this.#lastWords = lastWords;
  }

  close(): void {
    for (const connection of this.#open) {
      connection.close('the connection was closed');
    }
    this.#open.clear();
  }

  /** One request message, one answer. Throws CallError. */
  async unary<Q, A>(method: Method<Q, A>, request: Q, options: CallOptions = {}): Promise<A> {
    const call = this.#begin(options);
    try {
      const response = await call.connection.send(method.path, method.contentType, Buffer.concat(method.encode(request)));
      const body = await readAll(response.body);
      if (response.status !== 200) {
        throw errorOf(response, body);
      }
      return decoded(method, body);
    } catch (error) {
      throw call.reasonOf(error);
    } finally {
      call.end();
    }
  }

  /** Yields answer messages as they arrive; leaving the loop ends the call. Throws CallError. */
  async *stream<Q, A>(method: Method<Q, A>, requests: Q | AsyncIterable<Q>, options: CallOptions = {}): AsyncGenerator<A> {
    const call = this.#begin(options);
    try {
      const response = await call.connection.send(method.path, method.contentType, streamBody(method, requests));
      if (response.status !== 200) {
        throw errorOf(response, await readAll(response.body));
      }
      let ended: CallError | undefined = new CallError('unavailable', 'the answer is cut off');
      for await (const envelopes of readEnvelopes(response.body)) {
        for (const { flags, message } of envelopes) {
          if (flags & END) {
            ended = errorOfEnd(message);
          } else {
            yield decoded(method, message);
          }
        }
      }
      if (ended !== undefined) {
        throw ended;
      }
    } catch (error) {
      throw call.reasonOf(error);
    } finally {
      call.end();
    }
  }

  /** Several request messages, one answer. Throws CallError. */
  async clientStream<Q, A>(method: Method<Q, A>, requests: AsyncIterable<Q>, options: CallOptions = {}): Promise<A> {
    let answer: { readonly message: A } | undefined;
    for await (const message of this.stream(method, requests, options)) {
      answer = { message };
    }
    if (answer === undefined) {
      throw new CallError('data_loss', 'the call ended without its answer');
    }
    return answer.message;
  }

  #begin({ signal, timeoutMs }: CallOptions) {
    if (signal?.aborted) {
      throw new CallError('canceled', 'cancelled');
    }
    const connection = [...this.#open].find((each) => each.isFree) ?? new HttpConnection(this.#socket);
    this.#open.add(connection);
    let reason: CallError | undefined;
    const stop = (error: CallError) => {
      reason = error;
      connection.close(error.message);
    };
    const leave = onAbort(signal, () => stop(new CallError('canceled', 'cancelled')));
    const timer = timeoutMs && setTimeout(() => stop(new CallError('deadline_exceeded', 'no answer in time')), timeoutMs);
    return {
      connection,
      reasonOf: (error: unknown): unknown => reason ?? this.#withLastWords(error),
      end: () => {
        leave();
        clearTimeout(timer);
        if (!connection.isFree) {
          connection.close('the call ended');
          this.#open.delete(connection);
        }
      },
    };
  }

  #withLastWords(error: unknown): unknown {
    if (error instanceof CallError && error.code === 'unavailable') {
      error.lastWords = this.#lastWords();
    }
    return error;
  }
}

const decoded = <A>(method: Method<never, A>, message: Buffer): A => {
  try {
    return method.decode(message);
  } catch (error) {
    throw error instanceof CallError ? error : new CallError('data_loss', 'an answer that is no message');
  }
};

const streamBody = <Q>(method: Method<Q, unknown>, requests: Q | AsyncIterable<Q>): HttpBody =>
  isIterable(requests) ? inEnvelopes(method, requests) : envelope(0, ...method.encode(requests));

const isIterable = <Q>(requests: Q | AsyncIterable<Q>): requests is AsyncIterable<Q> =>
  typeof requests === 'object' && requests !== null && Symbol.asyncIterator in requests;

async function* inEnvelopes<Q>(method: Method<Q, unknown>, requests: AsyncIterable<Q>): AsyncGenerator<Uint8Array> {
  for await (const request of requests) {
    yield envelope(0, ...method.encode(request));
  }
}

interface ErrorMessage {
  readonly code?: string;
  readonly message?: string;
  /** `debug` is the message as JSON; hypr's server always gives it. */
  readonly details?: ReadonlyArray<{ readonly type: string; readonly debug?: unknown }>;
}

const errorOfEnd = (json: Buffer): CallError | undefined => {
  const { error } = JSON.parse(json.toString('utf8')) as { error?: ErrorMessage };
  return error && new CallError(error.code ?? 'unknown', error.message ?? '', detailOf(error));
};

const errorOf = ({ status }: HttpResponse, body: Buffer): CallError => {
  const error = readJson(body);
  return new CallError(error.code ?? CODES[status] ?? 'unknown', error.message ?? `HTTP ${status}`, detailOf(error));
};

const detailOf = ({ details = [] }: ErrorMessage): ErrorJson | undefined =>
  details.find(({ type }) => type === 'hypr.v1.Error')?.debug as ErrorJson | undefined;

const readJson = (body: Buffer): ErrorMessage => {
  try {
    return JSON.parse(body.toString('utf8')) as ErrorMessage;
  } catch {
    return {};
  }
};

const readAll = async (body: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const part of body) {
    parts.push(part);
  }
  return Buffer.concat(parts);
};
