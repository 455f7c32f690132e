import { HyprError } from '../../base/errors.ts';
import { BLOCK, emptyBlock, sumOf, writeOctal } from './tar-block.ts';

/** Names are byte strings (latin1), because a tar's names are bytes and need not be UTF-8. */
export type ByteString = string;

export type EntryType = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'dir' | 'fifo';

export interface Attributes {
  readonly type: EntryType;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds, as decimal text so that nanoseconds survive. */
  readonly mtime: string;
  readonly link: ByteString;
  readonly devMajor: number;
  readonly devMinor: number;
  readonly xattrs: ReadonlyArray<readonly [ByteString, Buffer]>;
}

export { BLOCK };
export const END_MARK = Buffer.alloc(2 * BLOCK);
const XATTR = 'SCHILY.xattr.';
const FLAGS: Readonly<Record<EntryType, string>> = { file: '0', hardlink: '1', symlink: '2', char: '3', block: '4', dir: '5', fifo: '6' };

export const layerError = (message: string): HyprError =>
  new HyprError('IMAGE_LAYER', `a layer cannot be unpacked safely: ${message}`, {
    hint: 'the image is damaged or was not made by an image builder',
  });

/** Zero bytes that fill the last block of `size` bytes. */
export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

/** Text of a header field, up to its first NUL. */
export const textAt = (block: Buffer, from: number, length: number): ByteString => {
  const end = block.indexOf(0, from);
  return block.toString('latin1', from, end < 0 || end > from + length ? from + length : end);
};

const ZERO = 0x30;
const isOctal = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= ZERO + 7;

/** A header's number: octal text, or GNU's base-256 when the top bit is set (0xff in front: negative). Throws IMAGE_LAYER. */
export const numberAt = (block: Buffer, from: number, length: number): number => {
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
      throw layerError(`a tar header has the number ${JSON.stringify(text)}`);
    }
    return text === '' ? 0 : Number.parseInt(text, 8);
  }
  let value = first === 0xff ? -1 : first & 0x7f;
  for (let index = 1; index < length; index++) {
    value = value * 256 + (block[from + index] ?? 0);
  }
  if (!Number.isSafeInteger(value)) {
    throw layerError('a tar header has a number beyond 2^53');
  }
  return value;
};

/** Both ways of summing are in use: bytes as unsigned (POSIX) and as signed (old Sun tar). */
export const hasValidChecksum = (block: Buffer): boolean => {
  let sum = 8 * 32;
  let high = 0;
  for (let index = 0; index < BLOCK; index++) {
    const byte = index >= 148 && index < 156 ? 0 : (block[index] ?? 0);
    sum += byte;
    high += byte >> 7;
  }
  const stored = numberAt(block, 148, 8);
  return stored === sum || stored === sum - 256 * high;
};

export const isZeroBlock = (block: Buffer): boolean => {
  for (let index = 0; index < BLOCK; index++) {
    if (block[index] !== 0) {
      return false;
    }
  }
  return true;
};

/** PAX records (`length key=value\n`, POSIX pax) in order; GNU's sparse 0.0 repeats keys. Throws IMAGE_LAYER. */
export const parsePax = (data: Buffer): Array<[ByteString, Buffer]> => {
  const records: Array<[ByteString, Buffer]> = [];
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const digits = space < 0 ? '' : data.toString('latin1', at, space);
    const end = at + Number(digits);
    const equals = data.indexOf(0x3d, space);
    if (!/^\d{1,9}$/.test(digits) || end > data.length || equals < 0 || equals >= end || data[end - 1] !== 0x0a) {
      // Some writers fill the rest with NULs.
      if (data.subarray(at).every((byte) => byte === 0)) {
        break;
      }
      throw layerError('a PAX header is malformed');
    }
    records.push([data.toString('latin1', space + 1, equals), Buffer.from(data.subarray(equals + 1, end - 1))]);
    at = end;
  }
  return records;
};

/** The header blocks of an entry with `size` bytes of content: ustar, with a PAX header in front where its fields do not suffice. */
export const encodeHeader = (path: ByteString, attributes: Attributes, size: number): Buffer => {
  const name = attributes.type === 'dir' ? `${path === '' ? '.' : path}/` : path;
  const main = encodeBlock(name, attributes, { flag: FLAGS[attributes.type], size });
  const records = paxRecords(name, attributes, size);
  if (records.length === 0) {
    return main;
  }
  const data = Buffer.concat(records.map(([key, value]) => encodePax(key, value)));
  const plain: Attributes = { ...attributes, mode: 0o644, uid: 0, gid: 0, mtime: '0', link: '', devMajor: 0, devMinor: 0 };
  return Buffer.concat([
    encodeBlock('PaxHeaders/entry', plain, { flag: 'x', size: data.length }),
    data,
    Buffer.alloc(padding(data.length)),
    main,
  ]);
};

const encodePax = (key: ByteString, value: Buffer): Buffer => {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`, 'latin1'), value, Buffer.from('\n')]);
};

const paxRecords = (name: ByteString, attributes: Attributes, size: number): Array<[ByteString, Buffer]> => {
  const { uid, gid, mtime, link, xattrs } = attributes;
  const records: Array<[ByteString, Buffer]> = [];
  const add = (needed: boolean, key: string, value: string | number) => {
    if (needed) {
      records.push([key, Buffer.from(String(value), 'latin1')]);
    }
  };
  add(name.length > 100, 'path', name);
  add(link.length > 100, 'linkpath', link);
  add(uid > 0o7777777, 'uid', uid);
  add(gid > 0o7777777, 'gid', gid);
  add(size > 0o77777777777, 'size', size);
  add(!/^\d+$/.test(mtime) || Number(mtime) > 0o77777777777, 'mtime', mtime);
  return [...records, ...xattrs.map(([key, value]): [ByteString, Buffer] => [XATTR + key, value])];
};

const encodeBlock = (name: ByteString, attributes: Attributes, { flag, size }: { flag: string; size: number }): Buffer => {
  const block = emptyBlock();
  block.write(name, 0, 100, 'latin1');
  writeOctal(block, attributes.mode, { from: 100, digits: 7 });
  writeOctal(block, attributes.uid, { from: 108, digits: 7 });
  writeOctal(block, attributes.gid, { from: 116, digits: 7 });
  writeOctal(block, size, { from: 124, digits: 11 });
  writeOctal(block, Math.floor(Number(attributes.mtime)), { from: 136, digits: 11 });
  block.fill(0x20, 148, 156);
  block.write(flag, 156, 'latin1');
  block.write(attributes.link, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  writeOctal(block, attributes.devMajor, { from: 329, digits: 7 });
  writeOctal(block, attributes.devMinor, { from: 337, digits: 7 });
  writeOctal(block, sumOf(block), { from: 148, digits: 6 });
  block[154] = 0;
  return block;
};
