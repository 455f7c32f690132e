import { onAbort } from '../../../base/abort.ts';
import { CallError, ERROR_HEADER } from '../call-error.ts';
import type { Codec } from '../wire.ts';
import { type HttpBody, HttpConnection, type HttpResponse } from './http-connection.ts';
import { decode, encode } from './message-codec.ts';

/*
 * Calls by the Connect protocol (https://connectrpc.com/docs/protocol): a unary call is a POST of the message and
 * gets the message back, a stream is a POST of messages each behind an envelope (flags, one byte; length, four bytes big-endian),
 * and the last envelope of an answer holds JSON that says how the call ended.
 */

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export interface Method<Request, Response> {
  readonly path: string;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
}

const ENVELOPE = 5;
const COMPRESSED = 1;
const END = 2;

/** Of HTTP statuses without a body in the protocol's form. */
const CODES: Readonly<Record<number, string>> = {
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'unimplemented',
  503: 'unavailable',
};

/** Connections to one socket: a call has one for itself, and one that is free is used again. */
export class Connections {
  readonly #socket: string;
  readonly #lastWords: () => readonly string[];
  readonly #open = new Set<HttpConnection>();

  /** `lastWords`: what the process behind the socket said when it failed; asked when a connection breaks. */
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

  /** One message there, one back. Throws CallError. */
  async unary<Q, A>(method: Method<Q, A>, request: Q, options: CallOptions = {}): Promise<A> {
    const call = this.#begin(options);
    try {
      const response = await call.connection.send(method.path, 'application/proto', encode(method.request, request));
      const body = await readAll(response.body);
      if (response.status !== 200) {
        throw errorOf(response, body);
      }
      return decode(method.response, body);
    } catch (error) {
      throw call.reasonOf(error);
    } finally {
      call.end();
    }
  }

  /** Messages back as they come; leaving the iteration ends the call. Throws CallError. */
  async *stream<Q, A>(method: Method<Q, A>, requests: Q | AsyncIterable<Q>, options: CallOptions = {}): AsyncGenerator<A> {
    const call = this.#begin(options);
    try {
      const response = await call.connection.send(method.path, 'application/connect+proto', streamBody(method.request, requests));
      if (response.status !== 200) {
        throw errorOf(response, await readAll(response.body));
      }
      for await (const message of readEnvelopes(response.body)) {
        yield decode(method.response, message);
      }
    } catch (error) {
      throw call.reasonOf(error);
    } finally {
      call.end();
    }
  }

  /** Several messages there, one back. */
  async clientStream<Q, A>(method: Method<Q, A>, requests: AsyncIterable<Q>, options: CallOptions = {}): Promise<A> {
    let answer: A | undefined;
    for await (const message of this.stream(method, requests, options)) {
      answer = message;
    }
    return answer ?? decode(method.response, new Uint8Array(0));
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

const streamBody = <Q>(codec: Codec<Q>, requests: Q | AsyncIterable<Q>): HttpBody =>
  isIterable(requests) ? envelopes(codec, requests) : envelope(encode(codec, requests));

const isIterable = <Q>(requests: Q | AsyncIterable<Q>): requests is AsyncIterable<Q> =>
  typeof requests === 'object' && requests !== null && Symbol.asyncIterator in requests;

async function* envelopes<Q>(codec: Codec<Q>, requests: AsyncIterable<Q>): AsyncGenerator<Uint8Array> {
  for await (const request of requests) {
    yield envelope(encode(codec, request));
  }
}

const envelope = (message: Buffer): Buffer => {
  const head = Buffer.alloc(ENVELOPE);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};

/** The messages of an answer. Throws what the last envelope says, and CallError for an answer without one. */
async function* readEnvelopes(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let ended: CallError | undefined = new CallError('unavailable', 'the answer is cut off');
  let rest: Buffer = Buffer.alloc(0);
  for await (const part of body) {
    rest = rest.length === 0 ? Buffer.from(part.buffer, part.byteOffset, part.length) : Buffer.concat([rest, part]);
    for (let size = wholeSize(rest); size !== undefined; size = wholeSize(rest)) {
      const flags = rest[0] ?? 0;
      const message = rest.subarray(ENVELOPE, size);
      rest = rest.subarray(size);
      if (flags & COMPRESSED) {
        throw new CallError('internal', 'an answer is compressed though nothing said that it may be');
      }
      if (flags & END) {
        ended = errorOfEnd(message);
      } else {
        yield message;
      }
    }
  }
  if (ended !== undefined) {
    throw ended;
  }
}

/** Bytes of the first envelope and its message, once all of them are there. */
const wholeSize = (bytes: Buffer): number | undefined => {
  const size = bytes.length < ENVELOPE ? Number.POSITIVE_INFINITY : ENVELOPE + bytes.readUInt32BE(1);
  return size <= bytes.length ? size : undefined;
};

interface ErrorMessage {
  readonly code?: string;
  readonly message?: string;
}

const errorOfEnd = (json: Buffer): CallError | undefined => {
  const { error, metadata } = JSON.parse(json.toString('utf8')) as { error?: ErrorMessage; metadata?: Record<string, string[]> };
  return error && new CallError(error.code ?? 'unknown', error.message ?? '', metadata?.[ERROR_HEADER]?.[0]);
};

const errorOf = ({ status, headers }: HttpResponse, body: Buffer): CallError => {
  const { code, message } = readJson(body);
  return new CallError(code ?? CODES[status] ?? 'unknown', message ?? `HTTP ${status}`, headers.get(ERROR_HEADER));
};

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
