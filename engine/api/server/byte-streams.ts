import type { IncomingMessage, ServerResponse } from 'node:http';
import { create, type DescMessage, type DescMethod, fromJsonString, type Message, toJsonString } from '@bufbuild/protobuf';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { endStreamToJson } from '@connectrpc/connect/protocol-connect';
import { BYTE_METHODS, BYTES_TYPE, type ByteFields, decodeMessage, encodeBytes } from '../byte-codec.ts';
import { CallError } from '../call-error.ts';
import { END, envelope, readEnvelopes } from '../envelope.ts';
import { Supervisor } from '../gen/hypr_pb.ts';

/** The server's side of byte-codec.ts: the same methods in the same envelopes. Connect's library cannot take another codec. */

export type ApiMethods = ServiceImpl<typeof Supervisor>;

type Handler = (request: unknown, context: { readonly signal: AbortSignal }) => AsyncIterable<Message> | Promise<Message>;

/** Answers a request in that codec. Returns false, having done nothing, for any other request. */
export const serveBytes = (methods: ApiMethods, request: IncomingMessage, response: ServerResponse): boolean => {
  const method = Supervisor.methods.find(({ name }) => request.url === `/${Supervisor.typeName}/${name}`);
  if (method === undefined || !(method.name in BYTE_METHODS) || request.headers['content-type'] !== BYTES_TYPE) {
    return false;
  }
  const handler = methods[method.localName as keyof ApiMethods] as unknown as Handler;
  void answer(method, handler, request, response);
  return true;
};

/** Never rejects. */
const answer = async (method: DescMethod, handler: Handler, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const left = new AbortController();
  response.on('error', () => {}).once('close', () => left.abort(new ConnectError('the client went away', Code.Canceled)));
  const { input, output } = BYTE_METHODS[method.name as keyof typeof BYTE_METHODS];
  response.writeHead(200, { 'content-type': BYTES_TYPE });
  let error: ConnectError | undefined;
  try {
    // Leaving the loop must not destroy the connection, which still carries the answer.
    const requests = readMessages(method.input, input, request.iterator({ destroyOnReturn: false }));
    for await (const message of callHandler(method, handler, requests, left.signal)) {
      await write(response, envelope(0, ...encodeMessage(method.output, output, message)));
    }
  } catch (thrown) {
    error = thrown instanceof CallError ? new ConnectError(thrown.message, Code.InvalidArgument) : ConnectError.from(thrown);
  }
  response.end(envelope(END, Buffer.from(JSON.stringify(endStreamToJson(new Headers(), error, undefined)))));
};

async function* callHandler(
  method: DescMethod,
  handler: Handler,
  requests: AsyncGenerator<Message>,
  signal: AbortSignal,
): AsyncGenerator<Message> {
  if (method.methodKind === 'server_streaming') {
    const { value } = await requests.next();
    yield* handler(value ?? create(method.input), { signal }) as AsyncIterable<Message>;
  } else if (method.methodKind === 'client_streaming') {
    yield await (handler(requests, { signal }) as Promise<Message>);
  } else {
    yield* handler(requests, { signal }) as AsyncIterable<Message>;
  }
}

async function* readMessages(schema: DescMessage, fields: ByteFields, body: AsyncIterable<Uint8Array>): AsyncGenerator<Message> {
  for await (const envelopes of readEnvelopes(body)) {
    for (const { message } of envelopes) {
      const read = decodeMessage(fields, message);
      yield 'json' in read ? parse(schema, read.json) : withBytes(schema, read.field, read.bytes);
    }
  }
}

const parse = (schema: DescMessage, json: string): Message => {
  try {
    return fromJsonString(schema, json, { ignoreUnknownFields: true });
  } catch (error) {
    throw new ConnectError(`not a message of this API: ${(error as Error).message}`, Code.InvalidArgument);
  }
};

const withBytes = (schema: DescMessage, name: string, value: Uint8Array): Message => {
  const oneof = schema.field[name]?.oneof?.localName;
  return create(schema, oneof === undefined ? { [name]: value } : { [oneof]: { case: name, value } });
};

const encodeMessage = (schema: DescMessage, fields: ByteFields, message: Message): Uint8Array[] => {
  for (const name of Object.values(fields)) {
    const oneof = schema.field[name]?.oneof?.localName;
    const values = message as unknown as Readonly<Record<string, unknown>>;
    const choice = oneof === undefined ? undefined : (values[oneof] as { readonly case?: string; readonly value?: unknown });
    const value = oneof === undefined ? values[name] : choice?.case === name ? choice.value : undefined;
    if (value instanceof Uint8Array) {
      return encodeBytes(fields, name, value);
    }
  }
  return [Buffer.from(toJsonString(schema, message))];
};

/** Waits for a slow reader, unless it has gone. */
const write = (response: ServerResponse, bytes: Buffer): Promise<void> | undefined => {
  if (response.write(bytes) || response.destroyed) {
    return undefined;
  }
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
};
