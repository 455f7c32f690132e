import { create, type DescField, type DescMessage, fromBinary, ScalarType, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, encode, type Field, type MessageCodec } from '../../../engine/api/client/message-codec.ts';
import { file_hypr } from '../../../engine/api/gen/hypr_pb.ts';
import * as tables from '../../../engine/api/messages.ts';
import { WireError } from '../../../engine/api/wire.ts';
import { structCodec } from '../../../engine/api/wire-struct.ts';
import { runs } from '../../support/seed.ts';

/** hypr.proto's messages: buf's description and our table. */
const MESSAGES = file_hypr.messages.map((schema) => ({
  name: schema.name,
  schema,
  codec: (tables as unknown as Readonly<Record<string, MessageCodec<Record<string, unknown>>>>)[schema.name],
}));

const SCALARS: Readonly<Partial<Record<ScalarType, string>>> = {
  [ScalarType.INT32]: 'int32',
  [ScalarType.DOUBLE]: 'double',
  [ScalarType.BOOL]: 'bool',
  [ScalarType.STRING]: 'string',
  [ScalarType.BYTES]: 'bytes',
};

const codecOf = (message: DescMessage | undefined): unknown =>
  message?.typeName === 'google.protobuf.Struct' ? structCodec : MESSAGES.find(({ schema }) => schema === message)?.codec;

/** What the table should say of a field; not its name in .proto, its name in messages. */
const fieldOf = (field: DescField): Field => {
  const isRepeated = field.fieldKind === 'list';
  const oneof = field.oneof?.localName;
  return {
    name: field.localName,
    type: (field.scalar === undefined ? codecOf(field.message) : SCALARS[field.scalar]) as Field['type'],
    ...(isRepeated ? { repeated: true } : {}),
    ...(field.proto.proto3Optional ? { optional: true } : {}),
    ...(oneof === undefined ? {} : { oneof }),
  };
};

const json: fc.Arbitrary<unknown> = fc
  .jsonValue({ maxDepth: 3 })
  .map((value) => JSON.parse(JSON.stringify(value).replaceAll('__proto__', 'proto')));
const struct = fc.dictionary(
  fc.string().filter((key) => key !== '__proto__'),
  json,
  { noNullPrototype: true, maxKeys: 4 },
);
const VALUES: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  int32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  double: fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0)),
  bool: fc.boolean(),
  string: fc.string({ unit: 'grapheme' }),
  bytes: fc.uint8Array({ maxLength: 300 }),
};

const arbitraryOf = (type: Field['type']): fc.Arbitrary<unknown> => {
  if (typeof type === 'string') {
    return VALUES[type] ?? fc.constant(undefined);
  }
  return 'fields' in type ? messageArbitrary(type as MessageCodec<unknown>) : struct;
};

/** Any message of a table, as plain values; what may be absent sometimes is. */
const messageArbitrary = ({ fields }: MessageCodec<unknown>): fc.Arbitrary<Record<string, unknown>> => {
  const all = Object.values(fields);
  const plain = all
    .filter(({ oneof }) => oneof === undefined)
    .map((field) => {
      const value = field.repeated ? fc.array(arbitraryOf(field.type), { maxLength: 3 }) : arbitraryOf(field.type);
      const mayMiss = field.optional || (!field.repeated && typeof field.type !== 'string');
      return fc.record({ [field.name]: value }, mayMiss ? { requiredKeys: [] } : {});
    });
  const oneof = all.find((field) => field.oneof !== undefined)?.oneof;
  const cases = all
    .filter((field) => field.oneof !== undefined)
    .map(({ name, type }) => arbitraryOf(type).map((value) => ({ case: name, value })));
  const choice = oneof === undefined ? [] : [fc.oneof(fc.constant({ case: undefined }), ...cases).map((value) => ({ [oneof]: value }))];
  return fc.tuple(...plain, ...choice).map((parts) => Object.assign({}, ...parts) as Record<string, unknown>);
};

/** Without protobuf-es's marks. */
const strip = (value: unknown): unknown => {
  if (value instanceof Uint8Array) {
    return new Uint8Array(value);
  }
  if (Array.isArray(value)) {
    return value.map(strip);
  }
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).flatMap(([key, each]) => (key.startsWith('$') ? [] : [[key, strip(each)]])))
    : value;
};

describe.each(MESSAGES)('$name', ({ schema, codec }) => {
  test('has the fields of hypr.proto', () => {
    expect(codec?.fields).toEqual(Object.fromEntries(schema.fields.map((field) => [field.number, fieldOf(field)])));
  });

  test('is written and read as protobuf-es does it', () => {
    if (codec === undefined) {
      throw new Error('there is no table');
    }
    const check = (plain: Record<string, unknown>): void => {
      const message = create(schema, plain);
      const theirs = toBinary(schema, message);
      const ours = encode(codec, plain);
      expect(ours.equals(theirs)).toBe(true);
      expect(strip(decode(codec, theirs))).toEqual(strip(fromBinary(schema, theirs)));
    };
    fc.assert(fc.property(messageArbitrary(codec), check), runs(60));
  });
});

describe('bytes that nobody wrote', () => {
  test('are refused or read, and end', () => {
    const read = (bytes: Uint8Array): void => {
      for (const { codec } of MESSAGES) {
        try {
          decode(codec as MessageCodec<unknown>, bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), read), runs(2000));
  });

  test('a field that a newer supervisor has is passed over', () => {
    const later = Buffer.from([0x7a, 2, 1, 2, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x78, 0x80, 1, 0x7d, 1, 2, 3, 4]);
    const bytes = Buffer.concat([encode(tables.Size, { columns: 80, rows: -1 }), later]);
    expect(decode(tables.Size, bytes)).toEqual({ columns: 80, rows: -1 });
  });

  test('a key named __proto__ is data like any other', () => {
    const object = JSON.parse('{"__proto__": {"a": [null, true, 1.5, "x"]}}');
    const read = decode(structCodec, encode(structCodec, object));
    expect(JSON.stringify(read)).toBe(JSON.stringify(object));
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  });
});
