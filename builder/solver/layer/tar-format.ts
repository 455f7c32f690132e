import { HyprError } from '../../../base/errors.ts';
import { BLOCK, emptyBlock, sumOf, writeOctal } from '../../layers/tar-block.ts';

export { BLOCK };

/** One entry of a tar, PAX and GNU extensions applied. */
export interface TarHeader {
  /** As stored, not cleaned. */
  readonly name: string;
  readonly type: 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'dir' | 'fifo' | 'other';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content that follow in the archive. */
  readonly size: number;
  /** Whole seconds. */
  readonly mtime: number;
  readonly link: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

const XATTR_PREFIX = 'SCHILY.xattr.';

const TYPES: Readonly<Record<string, TarHeader['type']>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'dir',
  '6': 'fifo',
};
const FLAGS: Readonly<Record<Exclude<TarHeader['type'], 'other'>, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  dir: '5',
  fifo: '6',
};

/** Extension records in force for the next entry: PAX keys, raw values. */
export type PaxRecords = ReadonlyMap<string, Buffer>;

export const tarError = (message: string): HyprError => new HyprError('IMAGE_LAYER', `the archive cannot be read: ${message}`);

/** The type flag of a header block, after its checksum was checked. Throws IMAGE_LAYER. */
export const readFlag = (block: Buffer): string => {
  const stored = readNumber(block, 148, 8);
  let sum = 8 * 32;
  for (let index = 0; index < BLOCK; index++) {
    sum += index >= 148 && index < 156 ? 0 : (block[index] ?? 0);
  }
  if (stored !== sum) {
    throw tarError('a header has a wrong checksum');
  }
  return String.fromCharCode(block[156] ?? 0);
};

export const isZeroBlock = (block: Buffer): boolean => block.every((byte) => byte === 0);

/** Size of the data after a header block. */
export const readSize = (block: Buffer): number => readNumber(block, 124, 12);

/** A header block with its extensions as an entry (POSIX ustar, PAX, GNU base-256 numbers). */
export const decodeHeader = (block: Buffer, pax: PaxRecords): TarHeader => {
  const type = TYPES[String.fromCharCode(block[156] ?? 0)] ?? 'other';
  const isUstar = block.toString('latin1', 257, 262) === 'ustar';
  // GNU's old magic keeps other things where ustar has the prefix.
  const hasPrefix = isUstar && block[262] === 0;
  const prefix = hasPrefix ? readText(block, 345, 155) : '';
  const name = readText(block, 0, 100);
  const stored = prefix === '' ? name : `${prefix}/${name}`;
  const path = pax.get('path')?.toString('utf8') ?? stored;
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of pax) {
    if (key.startsWith(XATTR_PREFIX)) {
      xattrs.set(key.slice(XATTR_PREFIX.length), value);
    }
  }
  const isDir = type === 'dir' || (type === 'file' && path.endsWith('/'));
  return {
    name: path,
    type: isDir ? 'dir' : type,
    mode: readNumber(block, 100, 8) & 0o7777,
    uid: paxNumber(pax, 'uid') ?? readNumber(block, 108, 8),
    gid: paxNumber(pax, 'gid') ?? readNumber(block, 116, 8),
    size: type === 'file' || type === 'other' ? (paxNumber(pax, 'size') ?? readSize(block)) : 0,
    mtime: Math.max(0, Math.floor(paxNumber(pax, 'mtime') ?? readNumber(block, 136, 12))),
    link: pax.get('linkpath')?.toString('utf8') ?? readText(block, 157, 100),
    deviceMajor: isUstar ? readNumber(block, 329, 8) : 0,
    deviceMinor: isUstar ? readNumber(block, 337, 8) : 0,
    xattrs,
  };
};

/** The header blocks of an entry, with a PAX header in front where ustar's fields do not suffice. */
export const encodeHeader = (header: TarHeader): Buffer => {
  if (header.type === 'other') {
    throw tarError(`${header.name} is of a type that cannot be written`);
  }
  const pax = paxFor(header);
  const main = encodeBlock(header, FLAGS[header.type]);
  if (pax.length === 0) {
    return main;
  }
  const data = Buffer.concat(pax.map(([key, value]) => encodePax(key, value)));
  const shared = { ...header, name: 'PaxHeaders.0/entry', mode: 0o644, uid: 0, gid: 0, mtime: 0, link: '', deviceMajor: 0, deviceMinor: 0 };
  return Buffer.concat([encodeBlock({ ...shared, size: data.length }, 'x'), data, Buffer.alloc(padding(data.length)), main]);
};

/** Zero bytes that fill the last block of content. */
export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

/** PAX records: `length key=value\n`. Throws IMAGE_LAYER. */
export const decodePax = (data: Buffer, into: Map<string, Buffer>): void => {
  for (let pos = 0; pos < data.length; ) {
    const space = data.indexOf(0x20, pos);
    const length = space < 0 ? Number.NaN : Number(data.toString('latin1', pos, space));
    const equals = data.indexOf(0x3d, space);
    const end = pos + length;
    if (!Number.isInteger(length) || length < 5 || end > data.length || equals < 0 || equals >= end || data[end - 1] !== 0x0a) {
      throw tarError('a PAX header is malformed');
    }
    into.set(data.toString('utf8', space + 1, equals), Buffer.from(data.subarray(equals + 1, end - 1)));
    pos = end;
  }
};

export const readText = (block: Buffer, from: number, length: number): string => {
  const end = block.indexOf(0, from);
  return block.toString('utf8', from, end < 0 || end > from + length ? from + length : end);
};

const readNumber = (block: Buffer, from: number, length: number): number => {
  const first = block[from] ?? 0;
  if ((first & 0x80) !== 0) {
    // GNU base-256; 0xff in front means negative, which only a time could be.
    let value = first === 0xff ? -1 : first & 0x7f;
    for (let index = 1; index < length; index++) {
      value = value * 256 + (block[from + index] ?? 0);
    }
    return value;
  }
  const text = block
    .toString('latin1', from, from + length)
    .replace(/[\0 ]+$/, '')
    .trim();
  const value = text === '' ? 0 : Number.parseInt(text.replace(/\0.*$/s, ''), 8);
  if (!Number.isSafeInteger(value)) {
    throw tarError('a header has a malformed number');
  }
  return value;
};

const paxNumber = (pax: PaxRecords, key: string): number | undefined => {
  const text = pax.get(key)?.toString('latin1');
  if (text === undefined || text === '') {
    return undefined;
  }
  const value = Number(text);
  if (!Number.isFinite(value) || (key !== 'mtime' && (!Number.isSafeInteger(value) || value < 0))) {
    throw tarError(`PAX ${key} is malformed`);
  }
  return value;
};

const encodePax = (key: string, value: Buffer): Buffer => {
  const rest = Buffer.byteLength(key) + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) {
    length = rest + String(length).length;
  }
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
};

const MAX_OCTAL_7 = 0o7777777;
const MAX_OCTAL_11 = 0o77777777777;
const isPlain = (text: string): boolean => Buffer.byteLength(text) <= 100 && /^[\x20-\x7e]*$/.test(text);

const paxFor = (header: TarHeader): Array<[string, Buffer]> => {
  const records: Array<[string, Buffer]> = [];
  const add = (key: string, value: string | number) => records.push([key, Buffer.from(String(value))]);
  if (!isPlain(header.name)) {
    add('path', header.name);
  }
  if (!isPlain(header.link)) {
    add('linkpath', header.link);
  }
  if (header.uid > MAX_OCTAL_7) {
    add('uid', header.uid);
  }
  if (header.gid > MAX_OCTAL_7) {
    add('gid', header.gid);
  }
  if (header.size > MAX_OCTAL_11) {
    add('size', header.size);
  }
  if (header.mtime > MAX_OCTAL_11) {
    add('mtime', header.mtime);
  }
  for (const [key, value] of [...header.xattrs].sort(([a], [b]) => (a < b ? -1 : 1))) {
    records.push([XATTR_PREFIX + key, value]);
  }
  return records;
};

const encodeBlock = (header: Omit<TarHeader, 'type'>, flag: string): Buffer => {
  const block = emptyBlock();
  Buffer.from(header.name).copy(block, 0, 0, 100);
  writeOctal(block, header.mode, { from: 100, digits: 7 });
  writeOctal(block, header.uid, { from: 108, digits: 7 });
  writeOctal(block, header.gid, { from: 116, digits: 7 });
  writeOctal(block, header.size, { from: 124, digits: 11 });
  writeOctal(block, header.mtime, { from: 136, digits: 11 });
  block.fill(0x20, 148, 156);
  block.write(flag, 156, 'latin1');
  Buffer.from(header.link).copy(block, 157, 0, 100);
  block.write('ustar\x0000', 257, 'latin1');
  writeOctal(block, header.deviceMajor, { from: 329, digits: 7 });
  writeOctal(block, header.deviceMinor, { from: 337, digits: 7 });
  writeOctal(block, sumOf(block), { from: 148, digits: 6 });
  block[154] = 0;
  return block;
};
