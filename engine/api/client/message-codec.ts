import { type Codec, FIXED64, LENGTH, VARINT, WireReader, WireWriter } from '../wire.ts';

export type Scalar = 'int32' | 'double' | 'bool' | 'string' | 'bytes';

export interface Field {
  readonly name: string;
  readonly type: Scalar | Codec<never> | Codec<unknown>;
  readonly repeated?: boolean;
  /** proto3 `optional`: absent is not zero. */
  readonly optional?: boolean;
  /** The oneof that it is a case of; there its value is `{ case, value }`. */
  readonly oneof?: string;
}

/** By their numbers. */
export type Fields = Readonly<Record<number, Field>>;

export interface MessageCodec<T> extends Codec<T> {
  readonly fields: Fields;
}

/** A message by its table. Values have the shape that protobuf-es gives them: a field without `optional` is never absent but zero. */
export const messageOf = <T>(fields: Fields): MessageCodec<T> => {
  const listed = Object.entries(fields).map(([no, field]) => ({ no: Number(no), field }));
  return {
    fields,
    write: (writer, value) => {
      for (const { no, field } of listed) {
        writeField(writer, no, field, value as Values);
      }
    },
    read: (reader, end) => {
      const values = emptyOf(listed.map(({ field }) => field));
      while (reader.at < end) {
        const tag = reader.varint();
        const field = fields[Math.floor(tag / 8)];
        if (field === undefined || wireTypeOf(field.type) !== tag % 8) {
          reader.skip(tag % 8);
        } else {
          put(values, field, readValue(reader, field.type));
        }
      }
      return values as T;
    },
  };
};

/** A whole message as bytes, and back. Throws WireError for bytes that are none. */
export const encode = <T>(codec: Codec<T>, value: T): Buffer => {
  const writer = new WireWriter();
  codec.write(writer, value);
  return writer.finish();
};

export const decode = <T>(codec: Codec<T>, bytes: Uint8Array): T => {
  const reader = new WireReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  return codec.read(reader, bytes.length);
};

type Values = Record<string, unknown>;

interface ScalarCodec<T> {
  readonly wireType: number;
  readonly zero: T;
  readonly write: (writer: WireWriter, value: T) => void;
  readonly read: (reader: WireReader) => T;
}

const scalar = <T>(wireType: number, zero: T, write: ScalarCodec<T>['write'], read: ScalarCodec<T>['read']): ScalarCodec<unknown> => ({
  wireType,
  zero,
  write: (writer, value) => write(writer, value as T),
  read,
});

const SCALARS: Readonly<Record<Scalar, ScalarCodec<unknown>>> = {
  int32: scalar(
    VARINT,
    0,
    (writer, value) => writer.int32(value),
    (reader) => reader.int32(),
  ),
  double: scalar(
    FIXED64,
    0,
    (writer, value) => writer.double(value),
    (reader) => reader.double(),
  ),
  bool: scalar(
    VARINT,
    false,
    (writer, value) => writer.varint(value ? 1 : 0),
    (reader) => reader.varint() !== 0,
  ),
  string: scalar(
    LENGTH,
    '',
    (writer, value) => writer.string(value),
    (reader) => reader.string(),
  ),
  bytes: scalar<Uint8Array>(
    LENGTH,
    new Uint8Array(0),
    (writer, value: Uint8Array) => writer.bytes(value),
    (reader) => reader.take(),
  ),
};

const wireTypeOf = (type: Field['type']): number => (typeof type === 'string' ? SCALARS[type].wireType : LENGTH);

const writeField = (writer: WireWriter, no: number, field: Field, values: Values): void => {
  const given = field.oneof === undefined ? values[field.name] : caseOf(values[field.oneof], field.name);
  const isExplicit = field.repeated || field.optional || field.oneof !== undefined;
  for (const value of field.repeated ? ((given ?? []) as readonly unknown[]) : [given]) {
    if (value !== undefined && (isExplicit || !isZero(field.type, value))) {
      writer.tag(no, wireTypeOf(field.type));
      writeValue(writer, field.type, value);
    }
  }
};

const caseOf = (choice: unknown, name: string): unknown => {
  const { case: chosen, value } = (choice ?? {}) as { case?: string; value?: unknown };
  return chosen === name ? value : undefined;
};

const isZero = (type: Field['type'], value: unknown): boolean =>
  typeof type === 'string' && (type === 'bytes' ? (value as Uint8Array).length === 0 : Object.is(value, SCALARS[type].zero));

const writeValue = (writer: WireWriter, type: Field['type'], value: unknown): void => {
  if (typeof type === 'string') {
    SCALARS[type].write(writer, value);
  } else {
    writer.nested(() => (type as Codec<unknown>).write(writer, value));
  }
};

const readValue = (reader: WireReader, type: Field['type']): unknown =>
  typeof type === 'string' ? SCALARS[type].read(reader) : type.read(reader, reader.end());

/** What a message has whose bytes say nothing. */
const emptyOf = (fields: readonly Field[]): Values => {
  const values: Values = {};
  for (const { name, type, repeated, optional, oneof } of fields) {
    if (oneof !== undefined) {
      values[oneof] = { case: undefined };
    } else if (repeated) {
      values[name] = [];
    } else if (!optional && typeof type === 'string') {
      values[name] = SCALARS[type].zero;
    }
  }
  return values;
};

const put = (values: Values, { name, repeated, oneof }: Field, value: unknown): void => {
  if (oneof !== undefined) {
    values[oneof] = { case: name, value };
  } else if (repeated) {
    (values[name] as unknown[]).push(value);
  } else {
    values[name] = value;
  }
};
