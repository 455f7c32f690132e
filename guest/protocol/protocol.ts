import { HyprError } from '../../base/errors.ts';
import { refused } from './refusal.ts';
import { FRAME, FRAME_END, HEADER_SIZE, MAX_TO_GUEST, PROTOCOL_VERSION } from './tags.ts';

/**
 * The bytes of the agent channel (docs/guest-protocol.md), the host's half of guest/agent/lib/wire.h. A guest is not
 * trusted: every length is checked before anything is kept, and a malformed byte ends the connection.
 */

/** Longest payload the host accepts. */
export const MAX_FROM_GUEST = 65_536;
export const MAGIC = Buffer.from([0x68, 0x79, 0x70, 0x72, 0x1f, 0x6b, 0x65, 0x73, 0x74, 0x72, 0x65, 0x6c, 0x0d, 0x0a, 0x1a, 0xf5]);
/** How far a guest may send ahead of the reader, per stream. */
export const OUTPUT_WINDOW = 1024 * 1024;
export const NO_LIMIT = (1n << 64n) - 1n;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly channel: number;
  readonly payload: Buffer;
}

export const encodeFrame = (frame: {
  type: number;
  channel?: number | undefined;
  flags?: number | undefined;
  payload?: Uint8Array | undefined;
}): Buffer => {
  const payload = frame.payload ?? new Uint8Array(0);
  const bytes = Buffer.alloc(HEADER_SIZE + payload.length + 1);
  bytes[0] = frame.type;
  bytes[1] = frame.flags ?? 0;
  bytes.writeUInt32LE(frame.channel ?? 0, 2);
  bytes.writeUInt32LE(payload.length, 6);
  bytes.set(payload, HEADER_SIZE);
  bytes[bytes.length - 1] = FRAME_END;
  return bytes;
};

/** The first bytes of a connection: zeros that end any frame of an earlier one, then HELLO. */
export const encodeHello = (nonce: Uint8Array): Buffer => {
  const versions = Buffer.alloc(4);
  versions.writeUInt16LE(PROTOCOL_VERSION, 0);
  versions.writeUInt16LE(PROTOCOL_VERSION, 2);
  const hello = encodeFrame({ type: FRAME.hello, payload: Buffer.concat([MAGIC, versions, nonce]) });
  return Buffer.concat([Buffer.alloc(HEADER_SIZE + MAX_TO_GUEST + 1), hello]);
};

/**
 * Splits a guest's byte stream into frames. Everything before the WELCOME that repeats `nonce` belongs to an earlier
 * connection and is skipped. Buffers at most one frame. Throws GUEST_PROTOCOL on a malformed frame.
 */
export class FrameDecoder {
  #kept: Buffer = Buffer.alloc(0);
  #welcomed = false;
  readonly #marker: Buffer;

  constructor(nonce: Uint8Array) {
    this.#marker = Buffer.concat([MAGIC, nonce]);
  }

  *feed(chunk: Buffer): Generator<Frame> {
    let bytes = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    this.#kept = Buffer.alloc(0);
    if (!this.#welcomed) {
      bytes = this.#findWelcome(bytes);
    }
    while (this.#welcomed) {
      const length = bytes.length < HEADER_SIZE ? 0 : frameLength(bytes);
      if (bytes.length < HEADER_SIZE || bytes.length < length) {
        break;
      }
      if (bytes[length - 1] !== FRAME_END) {
        throw new HyprError('GUEST_PROTOCOL', 'the guest agent sent a frame without its end');
      }
      yield {
        type: bytes[0] ?? 0,
        flags: bytes[1] ?? 0,
        channel: bytes.readUInt32LE(2),
        payload: bytes.subarray(HEADER_SIZE, length - 1),
      };
      bytes = bytes.subarray(length);
    }
    this.#kept = Buffer.from(bytes);
  }

  #findWelcome(bytes: Buffer): Buffer {
    for (let at = bytes.indexOf(this.#marker); at !== -1; at = bytes.indexOf(this.#marker, at + 1)) {
      if (at >= HEADER_SIZE && bytes[at - HEADER_SIZE] === FRAME.welcome) {
        this.#welcomed = true;
        return bytes.subarray(at - HEADER_SIZE);
      }
    }
    return bytes.subarray(Math.max(0, bytes.length - HEADER_SIZE - this.#marker.length));
  }
}

const frameLength = (bytes: Buffer): number => {
  const length = bytes.readUInt32LE(6);
  if ((bytes[0] ?? 0) < FRAME.welcome || length > MAX_FROM_GUEST) {
    throw new HyprError('GUEST_PROTOCOL', `the guest agent sent a frame of type ${bytes[0]} with ${length} bytes`);
  }
  return HEADER_SIZE + length + 1;
};

/** A value in a list of fields: u16 tag, u32 length, bytes. */
export interface Field {
  readonly tag: number;
  readonly value: Buffer;
}

export const bytesField = (tag: number, value: Uint8Array): Buffer => {
  const head = Buffer.alloc(6);
  head.writeUInt16LE(tag, 0);
  head.writeUInt32LE(value.length, 2);
  return Buffer.concat([head, value]);
};

export const textField = (tag: number, text: string): Buffer => {
  if (text.includes('\0')) {
    throw refused('malformed', `a text for the guest holds a NUL byte: ${JSON.stringify(text.slice(0, 60))}`);
  }
  return bytesField(tag, Buffer.from(text, 'utf8'));
};

/** Integers are 8 bytes little-endian; -1 is all ones. */
export const intField = (tag: number, value: number | bigint | boolean): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytesField(tag, bytes);
};

export const listField = (tag: number, fields: readonly Uint8Array[]): Buffer => bytesField(tag, Buffer.concat(fields));

/** The fields of a payload; throws GUEST_PROTOCOL when one overruns it. */
export const readFields = (payload: Buffer): Fields => {
  const fields: Field[] = [];
  for (let at = 0; at < payload.length; ) {
    const length = payload.length - at < 6 ? Number.POSITIVE_INFINITY : payload.readUInt32LE(at + 2);
    if (length > payload.length - at - 6) {
      throw new HyprError('GUEST_PROTOCOL', 'the guest agent sent a field longer than its frame');
    }
    fields.push({ tag: payload.readUInt16LE(at), value: payload.subarray(at + 6, at + 6 + length) });
    at += 6 + length;
  }
  return new Fields(fields);
};

/** Decoded fields by tag; numbers beyond 2^53 are a protocol error. */
export class Fields {
  readonly #fields: readonly Field[];

  constructor(fields: readonly Field[]) {
    this.#fields = fields;
  }

  bytes(tag: number): Buffer | undefined {
    return this.#fields.find((field) => field.tag === tag)?.value;
  }

  text(tag: number): string | undefined {
    return this.bytes(tag)?.toString('utf8');
  }

  int(tag: number): number | undefined {
    const value = this.bytes(tag);
    return value === undefined ? undefined : readInt(value, 0);
  }
}

/** An 8-byte unsigned number of a payload. */
export const readInt = (payload: Buffer, at: number): number => {
  if (payload.length < at + 8) {
    throw new HyprError('GUEST_PROTOCOL', 'the guest agent sent a number of the wrong size');
  }
  const value = payload.readBigUInt64LE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new HyprError('GUEST_PROTOCOL', 'the guest agent sent a number out of range');
  }
  return Number(value);
};
