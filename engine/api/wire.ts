/*
 * Protobuf's wire format (https://protobuf.dev/programming-guides/encoding/), as much of it as hypr.proto needs. The
 * supervisor has protobuf-es, which describes messages at run time: making those descriptions takes a command longer
 * than all that it then says.
 */

/** How a message is written and read, without the length before it. */
export interface Codec<T> {
  write(writer: WireWriter, value: T): void;
  /** The value of the bytes from here to `end`. */
  read(reader: WireReader, end: number): T;
}

/** Wire types: how long a value is that nobody knows. */
export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
const FIXED32 = 5;

/** Bytes that are written one after the other. */
export class WireWriter {
  #bytes = Buffer.allocUnsafe(512);
  #length = 0;

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  tag(no: number, wireType: number): void {
    this.varint(no * 8 + wireType);
  }

  /** Unsigned, up to 2^53; `int32` writes negative ones. */
  varint(value: number): void {
    this.#reserve(10);
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) {
      this.#bytes[this.#length++] = (rest % 128) | 128;
    }
    this.#bytes[this.#length++] = rest;
  }

  /** Negative numbers are written as 64 bits. */
  int32(value: number): void {
    if (value >= 0) {
      this.varint(value);
      return;
    }
    this.#reserve(10);
    for (let bits = BigInt.asUintN(64, BigInt(value)); ; bits >>= 7n) {
      const last = bits < 128n;
      this.#bytes[this.#length++] = Number(bits & 127n) | (last ? 0 : 128);
      if (last) {
        return;
      }
    }
  }

  double(value: number): void {
    this.#reserve(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  string(value: string): void {
    const size = Buffer.byteLength(value);
    this.varint(size);
    this.#reserve(size);
    this.#length += this.#bytes.write(value, this.#length, 'utf8');
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** What `write` writes, with its length before it. */
  nested(write: () => void): void {
    const start = this.#length;
    write();
    const content = Buffer.from(this.#bytes.subarray(start, this.#length));
    this.#length = start;
    this.bytes(content);
  }

  #reserve(size: number): void {
    if (this.#length + size > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + size));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
  }
}

/** Bytes that are read one after the other. Throws WireError for what is cut off or cannot be. */
export class WireReader {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 63; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * factor;
      if (byte < 128) {
        return value;
      }
    }
    throw new WireError('a number is longer than ten bytes');
  }

  /** The low 32 bits count, whatever was written. */
  int32(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      value |= shift < 32 ? (byte & 127) << shift : 0;
      if (byte < 128) {
        return value;
      }
    }
    throw new WireError('a number is longer than ten bytes');
  }

  double(): number {
    return this.bytes.readDoubleLE(this.#skip(8));
  }

  /** Where the bytes after the length end, which is next. */
  end(): number {
    const size = this.varint();
    if (size > this.bytes.length - this.at) {
      throw new WireError('a value is longer than its message');
    }
    return this.at + size;
  }

  string(): string {
    const end = this.end();
    const start = this.#skip(end - this.at);
    return this.bytes.toString('utf8', start, end);
  }

  /** A view, not a copy. */
  take(): Uint8Array {
    const end = this.end();
    const start = this.#skip(end - this.at);
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, end - start);
  }

  /** Passes over a value that no table knows: the other side may be newer. */
  skip(wireType: number): void {
    if (wireType === VARINT) {
      this.varint();
    } else if (wireType === LENGTH) {
      this.at = this.end();
    } else if (wireType === FIXED64 || wireType === FIXED32) {
      this.#skip(wireType === FIXED64 ? 8 : 4);
    } else {
      throw new WireError(`there is no wire type ${wireType}`);
    }
  }

  #byte(): number {
    return this.bytes[this.#skip(1)] ?? 0;
  }

  #skip(size: number): number {
    const start = this.at;
    if (size > this.bytes.length - start) {
      throw new WireError('a message is cut off');
    }
    this.at = start + size;
    return start;
  }
}

export class WireError extends Error {}
