import { CallError } from './call-error.ts';

/*
 * The encoding that hypr's own commands use for methods that carry bytes: Connect's protocol with its own codec, named
 * in the content type. A message is its JSON, which begins with `{`. A message that consists only of a file's or
 * program's bytes is one byte that names the field, then the bytes. Base64 in JSON would cost both sides four times the
 * processor time; protobuf would need a description of all messages in every command. Figures: docs/architecture.md.
 */

export const BYTES_TYPE = 'application/connect+hypr';

/** The field that a first byte stands for. */
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

/** Throws CallError for anything that is not a message. */
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
