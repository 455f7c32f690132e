import { CallError } from './call-error.ts';

/*
 * The envelopes of Connect's streams (https://connectrpc.com/docs/protocol#streaming-request): one byte of flags, four
 * bytes of length (big-endian), the message. The last envelope of an answer holds JSON that says how the call ended.
 */

export interface Envelope {
  readonly flags: number;
  readonly message: Buffer;
}

export const COMPRESSED = 1;
export const END = 2;

const HEAD = 5;

/** `parts`, concatenated, are the message. */
export const envelope = (flags: number, ...parts: readonly Uint8Array[]): Buffer => {
  const head = Buffer.alloc(HEAD);
  head[0] = flags;
  head.writeUInt32BE(
    parts.reduce((sum, part) => sum + part.length, 0),
    1,
  );
  return Buffer.concat([head, ...parts]);
};

/**
 * The envelopes of a body, however it is chunked. Envelopes that arrived together are yielded together, because waiting
 * for each one would cost more than reading it. A truncated last envelope is dropped. Throws CallError for a compressed
 * one.
 */
export async function* readEnvelopes(body: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Envelope[]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const part of body) {
    rest = rest.length === 0 ? Buffer.from(part.buffer, part.byteOffset, part.length) : Buffer.concat([rest, part]);
    const whole: Envelope[] = [];
    for (let size = wholeSize(rest); size !== undefined; size = wholeSize(rest)) {
      const flags = rest[0] ?? 0;
      const message = rest.subarray(HEAD, size);
      rest = rest.subarray(size);
      if (flags & COMPRESSED) {
        throw new CallError('internal', 'a message is compressed though nothing said that it may be');
      }
      whole.push({ flags, message });
    }
    yield whole;
  }
}

/** Size of the first envelope once all of it has arrived. */
const wholeSize = (bytes: Buffer): number | undefined => {
  const size = bytes.length < HEAD ? Number.POSITIVE_INFINITY : HEAD + bytes.readUInt32BE(1);
  return size <= bytes.length ? size : undefined;
};
