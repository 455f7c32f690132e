import { type ByteString, nameAt, textAt } from '../../base/tar/block.ts';
import { type EntryType, TYPES } from '../../base/tar/header.ts';
import type { PaxRecord } from '../../base/tar/pax.ts';
import { type Attributes, layerError, layerNumber } from './layer-format.ts';
import { paxPieces, type SparseMap, type SparsePiece } from './sparse.ts';
import { readXattrs } from './xattrs.ts';

/** One entry of a layer's tar, with PAX and GNU extensions applied. */
export interface TarEntry extends Attributes {
  /** As stored. */
  readonly path: ByteString;
  /** Where the first of its header blocks starts in the archive. */
  readonly start: number;
  /** Size of the file in bytes (expanded, if sparse). */
  readonly size: number;
  /** Offset of its content in the archive, and the number of bytes there. */
  readonly data: number;
  readonly stored: number;
  readonly sparse: SparseMap | undefined;
  /** mkfs.erofs reads its header blocks exactly as we do. */
  readonly plain: boolean;
}

/** Sockets and volume labels may have content, but mean nothing in a layer. */
const KINDS: Readonly<Record<string, EntryType | 'skip'>> = { ...TYPES, S: 'file', s: 'skip', V: 'skip', N: 'skip' };
const PLAIN_KEYS = /^(path|linkpath|size|uid|gid|mtime|atime|ctime|uname|gname|comment)$/;
const MAX_ID = 0xffff_ffff;

/** What the extension headers before an entry's own say of it. */
export interface Extensions {
  pax: PaxRecord[];
  longName: ByteString | undefined;
  longLink: ByteString | undefined;
}
export const noExtensions = (): Extensions => ({ pax: [], longName: undefined, longLink: undefined });
const NO_PAX: ReadonlyMap<ByteString, Buffer> = new Map();

type Decoded = Omit<TarEntry, 'type'> & { readonly type: EntryType | 'skip' };

/**
 * One entry from its header block and the extensions before it, as Go's archive/tar reads them. `input.data` is the
 * archive's offset behind the header, in bytes. Throws IMAGE_LAYER.
 */
export const decodeEntry = (
  block: Buffer,
  extensions: Extensions,
  input: { pieces: readonly SparsePiece[] | undefined; start: number; data: number },
): Decoded => {
  const flag = String.fromCharCode(block[156] ?? 0);
  const known = KINDS[flag];
  const pax = extensions.pax.length === 0 ? NO_PAX : new Map(extensions.pax);
  const magic = block.toString('latin1', 257, 263);
  const path = text(pax, 'GNU.sparse.name') ?? text(pax, 'path') ?? extensions.longName ?? nameAt(block);
  if (known === undefined) {
    throw layerError(`${path} is of the unknown tar type ${JSON.stringify(flag)}`);
  }
  const sized = paxInteger(pax, 'size') ?? layerNumber(block, 124, 12);
  const isDir = known === 'file' && path.endsWith('/') && sized === 0;
  const type = isDir ? 'dir' : known;
  // As in Go's reader, links, devices and directories have no content, whatever their size field says.
  const stored = type === 'file' || type === 'skip' ? sized : 0;
  const sparse = sparseMap(extensions.pax, input.pieces);
  const xattrs = readXattrs(extensions.pax);
  const mtime = text(pax, 'mtime') ?? String(layerNumber(block, 136, 12));
  const isDevice = type === 'char' || type === 'block';
  return {
    path,
    type,
    mode: layerNumber(block, 100, 8) & 0o7777,
    uid: id(paxInteger(pax, 'uid') ?? layerNumber(block, 108, 8), path),
    gid: id(paxInteger(pax, 'gid') ?? layerNumber(block, 116, 8), path),
    mtime: /^\d{1,12}(\.\d{1,9})?\d*$/.test(mtime) ? mtime : '0',
    link: text(pax, 'linkpath') ?? extensions.longLink ?? textAt(block, 157, 100),
    devMajor: isDevice ? (paxInteger(pax, 'SCHILY.devmajor') ?? layerNumber(block, 329, 8)) : 0,
    devMinor: isDevice ? (paxInteger(pax, 'SCHILY.devminor') ?? layerNumber(block, 337, 8)) : 0,
    xattrs: xattrs.kept,
    size: sparse === undefined ? stored : realSize(block, pax),
    start: input.start,
    data: input.data,
    stored,
    sparse,
    plain: isPlain({ flag, magic, mtime, isDir, isDevice, block }) && xattrs.plain && hasPlainKeys(extensions.pax) && sparse === undefined,
  };
};

const isPlain = (input: { flag: string; magic: string; mtime: string; isDir: boolean; isDevice: boolean; block: Buffer }): boolean => {
  const { flag, magic, mtime, isDir, isDevice, block } = input;
  const devices = !isDevice || /^[0-7]{7}[\0 ][0-7]{7}[\0 ]$/.test(block.toString('latin1', 329, 345));
  return '0123456'.includes(flag) && magic.startsWith('ustar') && !isDir && devices && /^\d{1,12}(\.\d{1,9})?$/.test(mtime);
};

const hasPlainKeys = (pax: ReadonlyArray<readonly [ByteString, Buffer]>): boolean =>
  pax.every(([key]) => PLAIN_KEYS.test(key) || key.startsWith('SCHILY.xattr.'));

const sparseMap = (
  pax: ReadonlyArray<readonly [ByteString, Buffer]>,
  pieces: readonly SparsePiece[] | undefined,
): SparseMap | undefined => {
  if (pieces !== undefined) {
    return pieces;
  }
  const records = pax.filter(([key]) => key.startsWith('GNU.sparse.'));
  if (records.length === 0) {
    return undefined;
  }
  const map = records.find(([key]) => key === 'GNU.sparse.map')?.[1].toString('latin1');
  if (map !== undefined) {
    return paxPieces(map === '' ? [] : map.split(','));
  }
  if (records.some(([key, value]) => key === 'GNU.sparse.major' && value.toString('latin1') === '1')) {
    return 'in-data';
  }
  return paxPieces(records.filter(([key]) => /\.(offset|numbytes)$/.test(key)).map(([, value]) => value.toString('latin1')));
};

const realSize = (block: Buffer, pax: ReadonlyMap<ByteString, Buffer>): number => {
  const size = paxInteger(pax, 'GNU.sparse.realsize') ?? paxInteger(pax, 'GNU.sparse.size') ?? layerNumber(block, 483, 12);
  if (size < 0) {
    throw layerError('a sparse file has a negative size');
  }
  return size;
};

const text = (pax: ReadonlyMap<ByteString, Buffer>, key: string): string | undefined => {
  const value = pax.get(key);
  // An empty value deletes the record (POSIX pax).
  return value === undefined || value.length === 0 ? undefined : value.toString('latin1');
};

const paxInteger = (pax: ReadonlyMap<ByteString, Buffer>, key: string): number | undefined => {
  const value = text(pax, key);
  if (value === undefined) {
    return undefined;
  }
  if (!/^\d{1,15}$/.test(value)) {
    throw layerError(`the PAX record ${key} is ${JSON.stringify(value)}`);
  }
  return Number(value);
};

const id = (value: number, path: ByteString): number => {
  if (value < 0 || value > MAX_ID) {
    throw layerError(`${path} has the owner ${value}`);
  }
  return value;
};
