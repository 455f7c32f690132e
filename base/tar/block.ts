import { HyprError } from '../errors.ts';

/** The block size of a tar, in bytes. */
export const BLOCK = 512;

/** The end-of-archive marker. */
export const END_MARK = Buffer.alloc(2 * BLOCK);

/** Names and links of an archive are kept with one character for each byte (latin1), because they need not be UTF-8. */
export type ByteString = string;

export type Refuse = (message: string) => HyprError;

export const tarError: Refuse = (message) => new HyprError('IMAGE_LAYER', `the archive cannot be read: ${message}`);

/** Zero bytes that fill the last block of `size` bytes. */
export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

export const isZeroBlock = (block: Buffer): boolean => {
  for (let index = 0; index < BLOCK; index++) {
    if (block[index] !== 0) {
      return false;
    }
  }
  return true;
};

/** Text of a header field, up to its first NUL. */
export const textAt = (block: Buffer, from: number, length: number): ByteString => {
  const end = block.indexOf(0, from);
  return block.toString('latin1', from, end < 0 || end > from + length ? from + length : end);
};

/** The name in a header block, including ustar's prefix. */
export const nameAt = (block: Buffer): ByteString => {
  const name = textAt(block, 0, 100);
  // With GNU's magic ("ustar  ") the prefix field contains times.
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? textAt(block, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
};

const ZERO = 0x30;
const isOctal = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= ZERO + 7;

/** A number of a header: octal text, or GNU's base-256 if the top bit is set (negative if it starts with 0xff). Throws the error of `refuse`. */
export const numberAt = (block: Buffer, from: number, length: number, refuse = tarError): number => {
  const first = block[from] ?? 0;
  if ((first & 0x80) === 0) {
    let value = 0;
    let at = from;
    for (; at < from + length && isOctal(block[at]); at++) {
      value = value * 8 + (block[at] ?? 0) - ZERO;
    }
    if (at === from + length || block[at] === 0) {
      return value;
    }
    const text = block
      .toString('latin1', from, from + length)
      .replace(/\0.*$/s, '')
      .trim();
    if (!/^[0-7]*$/.test(text)) {
      throw refuse(`a tar header has the number ${JSON.stringify(text)}`);
    }
    return text === '' ? 0 : Number.parseInt(text, 8);
  }
  let value = first === 0xff ? -1 : first & 0x7f;
  for (let index = 1; index < length; index++) {
    value = value * 256 + (block[from + index] ?? 0);
  }
  if (!Number.isSafeInteger(value)) {
    throw refuse('a tar header has a number beyond 2^53');
  }
  return value;
};

/** Accepts both checksums in use: bytes as unsigned (POSIX) and as signed (old Sun tar). */
export const hasValidChecksum = (block: Buffer, refuse = tarError): boolean => {
  let sum = 8 * 32;
  let high = 0;
  for (let index = 0; index < BLOCK; index++) {
    const byte = index >= 148 && index < 156 ? 0 : (block[index] ?? 0);
    sum += byte;
    high += byte >> 7;
  }
  const stored = numberAt(block, 148, 8, refuse);
  return stored === sum || stored === sum - 256 * high;
};

export interface BlockFields {
  readonly name: ByteString;
  /** One character: the type. */
  readonly flag: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Whole seconds. */
  readonly mtime: number;
  readonly link: ByteString;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** A ustar header block. Values that do not fit into a field are truncated: a PAX record before it has them in full (`encodeEntry`). */
export const encodeBlock = (fields: BlockFields): Buffer => {
  // From Node's pool: millions of buffers with their own memory would be allocated faster than they are collected.
  const block = Buffer.allocUnsafe(BLOCK).fill(0);
  block.write(fields.name, 0, 100, 'latin1');
  writeOctal(block, fields.mode, { from: 100, digits: 7 });
  writeOctal(block, fields.uid, { from: 108, digits: 7 });
  writeOctal(block, fields.gid, { from: 116, digits: 7 });
  writeOctal(block, fields.size, { from: 124, digits: 11 });
  writeOctal(block, fields.mtime, { from: 136, digits: 11 });
  block.write(fields.flag, 156, 'latin1');
  block.write(fields.link, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  writeOctal(block, fields.deviceMajor, { from: 329, digits: 7 });
  writeOctal(block, fields.deviceMinor, { from: 337, digits: 7 });
  writeChecksum(block);
  return block;
};

export const writeChecksum = (block: Buffer): void => {
  // The checksum field counts as blanks.
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) {
    sum += block[at] ?? 0;
  }
  writeOctal(block, sum, { from: 148, digits: 6 });
  block[154] = 0;
};

/** Writes octal digits with leading zeros; a number that is too large becomes the largest that fits. */
const writeOctal = (block: Buffer, value: number, { from, digits }: { from: number; digits: number }): void => {
  let rest = Math.min(value, 8 ** digits - 1);
  for (let at = from + digits - 1; at >= from; at--) {
    const next = Math.floor(rest / 8);
    block[at] = ZERO + rest - next * 8;
    rest = next;
  }
};
