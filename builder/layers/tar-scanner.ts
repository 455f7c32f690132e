import { BLOCK, type ByteString, hasValidChecksum, isZeroBlock, nameAt, padding, textAt } from '../../base/tar/block.ts';
import { type EntryType, TYPES } from '../../base/tar/header.ts';
import { type PaxRecord, parsePax } from '../../base/tar/pax.ts';
import { type Attributes, layerError, layerNumber } from './layer-format.ts';
import { gnuPieces, MAX_PIECES, paxPieces, type SparseMap, type SparsePiece } from './sparse.ts';
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

export interface TarLimits {
  /** Bytes of one extended header. */
  readonly extension: number;
  /** Bytes of one file. */
  readonly fileSize: number;
}

/** Sockets and volume labels may have content, but mean nothing in a layer. */
const KINDS: Readonly<Record<string, EntryType | 'skip'>> = { ...TYPES, S: 'file', s: 'skip', V: 'skip', N: 'skip' };
const PLAIN_KEYS = /^(path|linkpath|size|uid|gid|mtime|atime|ctime|uname|gname|comment)$/;
const MAX_ID = 0xffff_ffff;

interface Extensions {
  pax: PaxRecord[];
  longName: ByteString | undefined;
  longLink: ByteString | undefined;
}
const none = (): Extensions => ({ pax: [], longName: undefined, longLink: undefined });
const NO_PAX: ReadonlyMap<ByteString, Buffer> = new Map();

/**
 * Walks a tar that is pushed in chunks of any size: 512-byte headers are looked at, content is only
 * counted. Understands v7, ustar, PAX, GNU long names and sparse files. Throws IMAGE_LAYER.
 */
export class TarScanner {
  /** Where the end mark starts, or the end of the archive if it has none. */
  end = 0;
  #position = 0;
  #skip = 0;
  #need = BLOCK;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #state: 'header' | 'extension' | 'sparse' | 'done' = 'header';
  #extensionFlag = '';
  #extensions = none();
  #sparse: { header: Buffer; pieces: SparsePiece[] } | undefined;
  #inEntry = false;
  /** Offset of the entry being read. */
  #start: number | undefined;

  constructor(
    private readonly onEntry: (entry: TarEntry) => void,
    private readonly limits: TarLimits,
  ) {}

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#state !== 'done'; ) {
      if (this.#skip > 0) {
        const count = Math.min(this.#skip, chunk.length - at);
        this.#skip -= count;
        this.#position += count;
        at += count;
        continue;
      }
      const count = Math.min(this.#need - this.#heldBytes, chunk.length - at);
      const part = chunk.subarray(at, at + count);
      at += count;
      this.#position += count;
      if (count === this.#need) {
        this.#take(part);
      } else {
        // The caller may reuse the chunk's memory.
        this.#held.push(Buffer.from(part));
        this.#heldBytes += count;
        if (this.#heldBytes === this.#need) {
          const whole = Buffer.concat(this.#held);
          this.#held = [];
          this.#heldBytes = 0;
          this.#take(whole);
        }
      }
    }
  }

  /** Continues at the start of an entry, at any offset. */
  restart(position: number): void {
    this.#position = position;
    this.#skip = 0;
  }

  /** How many of the next bytes are content. A caller that reads a file may skip them, and must then not push them. */
  skipAhead(): number {
    const skipped = this.#skip;
    this.#skip = 0;
    this.#position += skipped;
    return skipped;
  }

  get isDone(): boolean {
    return this.#state === 'done';
  }

  /** To be called after the last chunk. An archive that ends within an entry is damaged; a missing end mark is accepted. */
  finish(): void {
    if (this.#state === 'done') {
      return;
    }
    if (this.#skip > 0 || this.#heldBytes > 0 || this.#state !== 'header' || this.#inEntry) {
      throw layerError('it ends in the middle of an entry');
    }
    this.end = this.#position;
  }

  #take(block: Buffer): void {
    if (this.#state === 'extension') {
      this.#takeExtension(block);
    } else if (this.#state === 'sparse') {
      this.#takeSparse(block);
    } else if (isZeroBlock(block)) {
      this.end = this.#position - BLOCK;
      this.#state = 'done';
    } else {
      this.#takeHeader(block);
    }
  }

  #takeHeader(block: Buffer): void {
    if (!hasValidChecksum(block, layerError)) {
      throw layerError('a tar header has a wrong checksum');
    }
    const flag = String.fromCharCode(block[156] ?? 0);
    if ('xgLK'.includes(flag)) {
      const size = layerNumber(block, 124, 12);
      if (size < 0 || size > this.limits.extension) {
        throw layerError(`an extended header has ${size} bytes`);
      }
      this.#inEntry = flag !== 'g';
      if (flag !== 'g') {
        this.#start ??= this.#position - BLOCK;
      }
      this.#extensionFlag = flag;
      // An extension header without content has no block to wait for.
      if (size > 0) {
        this.#state = 'extension';
        this.#need = size + padding(size);
        this.#extensionSize = size;
      }
      return;
    }
    this.#start ??= this.#position - BLOCK;
    if (flag === 'S' && block[482] !== 0) {
      this.#sparse = { header: Buffer.from(block), pieces: gnuPieces(block, 386, 4) };
      this.#state = 'sparse';
      return;
    }
    this.#emit(block, flag === 'S' ? gnuPieces(block, 386, 4) : undefined);
  }

  #extensionSize = 0;

  #takeExtension(padded: Buffer): void {
    const data = padded.subarray(0, this.#extensionSize);
    this.#state = 'header';
    this.#need = BLOCK;
    switch (this.#extensionFlag) {
      case 'x':
        this.#extensions.pax.push(...parsePax(data, layerError));
        break;
      case 'L':
        this.#extensions.longName = textAt(data, 0, data.length);
        break;
      case 'K':
        this.#extensions.longLink = textAt(data, 0, data.length);
        break;
      default:
        // Global PAX headers are not applied to entries; docker and containerd do not apply them either.
        this.leftOut = true;
    }
  }

  /** Whether something is left out of the normal form: a global header, a socket, a volume label. */
  leftOut = false;

  #takeSparse(block: Buffer): void {
    const sparse = this.#sparse;
    if (sparse === undefined) {
      return;
    }
    for (const piece of gnuPieces(block, 0, 21)) {
      sparse.pieces.push(piece);
    }
    if (sparse.pieces.length > MAX_PIECES) {
      throw layerError('a sparse file has too many pieces');
    }
    if (block[504] === 0) {
      this.#state = 'header';
      this.#sparse = undefined;
      this.#emit(sparse.header, sparse.pieces);
    }
  }

  #emit(block: Buffer, pieces: readonly SparsePiece[] | undefined): void {
    const extensions = this.#extensions;
    this.#extensions = none();
    this.#inEntry = false;
    const entry = decodeEntry(block, extensions, { pieces, start: this.#start ?? 0, data: this.#position });
    this.#start = undefined;
    if (entry.size > this.limits.fileSize || entry.stored > this.limits.fileSize) {
      throw layerError(`${entry.path} has ${entry.size} bytes`);
    }
    this.#skip = entry.stored + padding(entry.stored);
    if (entry.type === 'skip') {
      this.leftOut = true;
    } else {
      this.onEntry(entry as TarEntry);
    }
  }
}

type Decoded = Omit<TarEntry, 'type'> & { readonly type: EntryType | 'skip' };

const decodeEntry = (
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
