import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { Codec, WireReader, WireWriter } from './wire.ts';

/*
 * google.protobuf.Struct as the JSON that it stands for (google/protobuf/struct.proto):
 *   Struct { map<string, Value> fields = 1 }; a map's entry is { key = 1, value = 2 }
 *   Value { null = 1, number = 2, string = 3, bool = 4, struct = 5, list = 6 }; ListValue { repeated Value values = 1 }
 */

const TAG = { first: 10, second: 18, null: 8, number: 17, string: 26, bool: 32, struct: 42, list: 50 } as const;

export const structCodec: Codec<JsonObject> = {
  write: (writer, object) => {
    for (const [key, value] of Object.entries(object)) {
      // As in JSON, what is undefined is not there.
      if (value !== undefined) {
        writer.varint(TAG.first);
        writer.nested(() => {
          writer.varint(TAG.first);
          writer.string(key);
          writer.varint(TAG.second);
          writer.nested(() => writeJson(writer, value));
        });
      }
    }
  },
  read: (reader, end) => {
    const object: JsonObject = {};
    forEachTag(reader, end, (tag) => {
      if (tag !== TAG.first) {
        return false;
      }
      const { key, value } = readEntry(reader, reader.end());
      // Not an assignment: a key may be __proto__.
      Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
      return true;
    });
    return object;
  },
};

const writeJson = (writer: WireWriter, value: JsonValue): void => {
  if (value === null) {
    writer.varint(TAG.null);
    writer.varint(0);
  } else if (typeof value === 'number') {
    writer.varint(TAG.number);
    writer.double(value);
  } else if (typeof value === 'string') {
    writer.varint(TAG.string);
    writer.string(value);
  } else if (typeof value === 'boolean') {
    writer.varint(TAG.bool);
    writer.varint(value ? 1 : 0);
  } else if (Array.isArray(value)) {
    writer.varint(TAG.list);
    writer.nested(() => {
      for (const each of value) {
        writer.varint(TAG.first);
        writer.nested(() => writeJson(writer, each));
      }
    });
  } else {
    writer.varint(TAG.struct);
    writer.nested(() => structCodec.write(writer, value));
  }
};

const readEntry = (reader: WireReader, end: number): { key: string; value: JsonValue } => {
  let key = '';
  let value: JsonValue = null;
  forEachTag(reader, end, (tag) => {
    if (tag === TAG.first) {
      key = reader.string();
    } else if (tag === TAG.second) {
      value = readJson(reader, reader.end());
    }
    return tag === TAG.first || tag === TAG.second;
  });
  return { key, value };
};

const readJson = (reader: WireReader, end: number): JsonValue => {
  let value: JsonValue = null;
  forEachTag(reader, end, (tag) => {
    const read = READERS[tag];
    value = read === undefined ? value : read(reader);
    return read !== undefined;
  });
  return value;
};

const readList = (reader: WireReader): JsonValue => {
  const values: JsonValue[] = [];
  forEachTag(reader, reader.end(), (tag) => {
    if (tag === TAG.first) {
      values.push(readJson(reader, reader.end()));
    }
    return tag === TAG.first;
  });
  return values;
};

const READERS: Readonly<Record<number, (reader: WireReader) => JsonValue>> = {
  [TAG.null]: (reader) => {
    reader.varint();
    return null;
  },
  [TAG.number]: (reader) => reader.double(),
  [TAG.string]: (reader) => reader.string(),
  [TAG.bool]: (reader) => reader.varint() !== 0,
  [TAG.struct]: (reader) => structCodec.read(reader, reader.end()),
  [TAG.list]: readList,
};

/** `take` reads the value of a tag that it knows; others are passed over. */
const forEachTag = (reader: WireReader, end: number, take: (tag: number) => boolean): void => {
  while (reader.at < end) {
    const tag = reader.varint();
    if (!take(tag)) {
      reader.skip(tag % 8);
    }
  }
};
