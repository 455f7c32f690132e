/** RFC 4251, section 5: the data types of SSH. */

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export const string = (value: Uint8Array): Buffer => Buffer.concat([u32(value.length), value]);

/** A `string` at an offset and its end; throws RangeError if it is longer than the data. */
export const readString = (bytes: Buffer, at: number): { value: Buffer; end: number } => {
  const length = bytes.readUInt32BE(at);
  const end = at + 4 + length;
  if (end > bytes.length) {
    throw new RangeError('a string of an SSH message is longer than the message');
  }
  return { value: bytes.subarray(at + 4, end), end };
};

/** A positive `mpint`: big-endian, with a zero before a leading one bit. */
export const mpint = (value: Uint8Array): Buffer => {
  const first = value.findIndex((byte) => byte !== 0);
  const trimmed = first < 0 ? Buffer.alloc(0) : value.subarray(first);
  return string((trimmed[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), trimmed]) : trimmed);
};
