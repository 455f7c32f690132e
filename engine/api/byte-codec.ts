import { CallError } from './call-error.ts';

/*
 * How hypr's own commands write the messages of methods that carry bytes: Connect's protocol with a codec of its own, named
 * in the content type. A message is its JSON, which begins with `{`; one that is nothing but bytes of a file or
 * program is a byte that says of which field, and the bytes. In JSON they would be base64, which costs four times the
 * processor time of both sides; protobuf would need a description of all messages in every command. Figures: docs/architecture.md.
 */

export const BYTES_TYPE = 'application/connect+hypr';

/** Which field a first byte means. */
export type ByteFields = Readonly<Record<number, string>>;

export interface ByteMethod {
  readonly input: ByteFields;
  readonly output: ByteFields;
}

const PROGRAM: ByteMethod = { input: { 1: 'stdin' }, output: { 1: 'stdout', 2: 'stderr' } };
const COPY: ByteMethod = { input: { 1: 'data' }, output: { 1: 'data' } };

/** By the names of hypr.proto. */
export const BYTE_METHODS = { Exec: PROGRAM, Run: PROGRAM, Attach: PROGRAM, CopyTo: COPY, CopyFrom: COPY } as const;

const JSON_START = '{'.charCodeAt(0);

export type Decoded = { readonly json: string } | { readonly field: string; readonly bytes: Uint8Array };

/** Throws CallError for what is no message. */
export const decodeMessage = (fields: ByteFields, message: Buffer): Decoded => {
  const first = message[0] ?? 0;
  const field = fields[first];
  if (field !== undefined) {
    return { field, bytes: message.subarray(1) };
  }
  if (first !== JSON_START) {
    throw new CallError('invalid_argument', 'a message that is neither JSON nor bytes');
  }
  return { json: message.toString('utf8') };
};

/** Bytes of a field, in parts; `field` is one of `fields`. */
export const encodeBytes = (fields: ByteFields, field: string, bytes: Uint8Array): Uint8Array[] => [
  Uint8Array.of(Number(Object.keys(fields).find((first) => fields[Number(first)] === field))),
  bytes,
];
