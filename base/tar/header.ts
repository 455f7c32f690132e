import { decodeName, encodeName } from '../odd-names.ts';
import { type ByteString, hasValidChecksum, nameAt, numberAt, tarError, textAt } from './block.ts';
import { encodeEntry, MAX_OCTAL_11, XATTR } from './pax.ts';

export type EntryType = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'dir' | 'fifo';

/** One entry of a tar, PAX and GNU extensions applied. */
export interface TarHeader {
  /** As stored in the archive, not cleaned. */
  readonly name: string;
  readonly type: EntryType | 'other';
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

/** Types by the flag of a header block. */
export const TYPES: Readonly<Record<string, EntryType>> = {
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
export const FLAGS: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  dir: '5',
  fifo: '6',
};

/** Extension records that apply to the next entry: PAX keys, raw values. */
export type PaxRecords = ReadonlyMap<ByteString, Buffer>;

/** Checks the checksum of a header block and returns its type flag. Throws IMAGE_LAYER. */
export const readFlag = (block: Buffer): string => {
  if (!hasValidChecksum(block)) {
    throw tarError('a header has a wrong checksum');
  }
  return String.fromCharCode(block[156] ?? 0);
};

/** Size of the data after a header block. Throws IMAGE_LAYER. */
export const readSize = (block: Buffer): number => {
  const size = numberAt(block, 124, 12);
  if (size < 0) {
    throw tarError('a header has a negative size');
  }
  return size;
};

/** A header block with its extensions as an entry (POSIX ustar, PAX, GNU base-256 numbers). Throws IMAGE_LAYER. */
export const decodeHeader = (block: Buffer, pax: PaxRecords): TarHeader => {
  const type = TYPES[String.fromCharCode(block[156] ?? 0)] ?? 'other';
  const isUstar = block.toString('latin1', 257, 262) === 'ustar';
  const path = nameOf(pax.get('path')) ?? fromBytes(nameAt(block));
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of pax) {
    if (key.startsWith(XATTR)) {
      xattrs.set(fromBytes(key.slice(XATTR.length)), value);
    }
  }
  const isDir = type === 'dir' || (type === 'file' && path.endsWith('/'));
  return {
    name: path,
    type: isDir ? 'dir' : type,
    mode: numberAt(block, 100, 8) & 0o7777,
    uid: paxNumber(pax, 'uid') ?? numberAt(block, 108, 8),
    gid: paxNumber(pax, 'gid') ?? numberAt(block, 116, 8),
    size: type === 'file' || type === 'other' ? (paxNumber(pax, 'size') ?? readSize(block)) : 0,
    mtime: Math.max(0, Math.floor(paxNumber(pax, 'mtime') ?? numberAt(block, 136, 12))),
    link: nameOf(pax.get('linkpath')) ?? fromBytes(textAt(block, 157, 100)),
    deviceMajor: isUstar ? numberAt(block, 329, 8) : 0,
    deviceMinor: isUstar ? numberAt(block, 337, 8) : 0,
    xattrs,
  };
};

/** The header blocks of an entry, with a PAX header first if ustar's fields are not enough. */
export const encodeHeader = (header: TarHeader): Buffer => {
  if (header.type === 'other') {
    throw tarError(`${header.name} is of a type that cannot be written`);
  }
  const xattrs = [...header.xattrs].sort(([a], [b]) => (a < b ? -1 : 1));
  return encodeEntry(
    { ...header, name: toBytes(header.name), link: toBytes(header.link), flag: FLAGS[header.type] },
    {
      isOutside: (text) => text.length > 100 || !/^[\x20-\x7e]*$/.test(text),
      mtime: header.mtime > MAX_OCTAL_11 ? String(header.mtime) : undefined,
      xattrs: xattrs.map(([key, value]) => [toBytes(key), value]),
      title: 'PaxHeaders.0/entry',
    },
  );
};

/** Defaults for an entry: an empty file of root with mode 0644 and mtime 0. */
export const PLAIN_FILE = {
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  link: '',
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: new Map<string, Buffer>(),
} as const;

/** The header of such a file with content, as in image archives. */
export const encodePlainFile = (name: string, size: number): Buffer => encodeHeader({ ...PLAIN_FILE, name, size });

const isAscii = (text: string): boolean => /^[\x00-\x7f]*$/.test(text);
const toBytes = (text: string): ByteString => (isAscii(text) ? text : encodeName(text).toString('latin1'));
const nameOf = (value: Buffer | undefined): string | undefined => (value === undefined ? undefined : decodeName(value));
export const fromBytes = (bytes: ByteString): string => (isAscii(bytes) ? bytes : decodeName(Buffer.from(bytes, 'latin1')));

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
