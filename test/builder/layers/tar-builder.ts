import { createHash } from 'node:crypto';
import { BLOCK, encodeBlock, padding, writeChecksum } from '../../../base/tar/block.ts';
import { encodePax } from '../../../base/tar/pax.ts';

/** One raw tar entry for a test; nothing is checked or corrected. */
export interface RawEntry {
  readonly name: string | Buffer;
  readonly type?: string;
  readonly data?: string | Buffer;
  readonly link?: string | Buffer;
  readonly mode?: number;
  readonly uid?: number | Buffer;
  readonly gid?: number;
  readonly mtime?: number | Buffer;
  /** The size field when it is not that of the data. */
  readonly size?: number | Buffer;
  readonly magic?: string;
  readonly dev?: readonly [string, string];
  readonly prefix?: string;
  /** PAX records in front of it. */
  readonly pax?: ReadonlyArray<readonly [string, string | Buffer]>;
  /** Overwrites the header from an offset, before the checksum. */
  readonly patch?: ReadonlyArray<readonly [number, Buffer]>;
  /** Blocks between header and data (GNU sparse extensions). */
  readonly extra?: Buffer;
}

/** Big-endian base-256 number as GNU tar writes it. */
export const base256 = (value: number | bigint, length: number): Buffer => {
  const buffer = Buffer.alloc(length);
  let rest = BigInt.asUintN(length * 8, BigInt(value));
  for (let index = length - 1; index >= 0; index--) {
    buffer[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  buffer[0] = (buffer[0] ?? 0) | 0x80;
  return buffer;
};

export const octal = (value: number, length: number): Buffer => Buffer.from(`${value.toString(8).padStart(length - 1, '0')}\0`);

export const pad = (data: Buffer): Buffer => Buffer.concat([data, Buffer.alloc(padding(data.length))]);

export const paxData = (records: ReadonlyArray<readonly [string, string | Buffer]>): Buffer =>
  Buffer.concat(records.map(([key, value]) => encodePax([key, Buffer.from(value)])));

/** A block of the codec, and over it what a test wants to be otherwise. */
export const rawHeader = (entry: RawEntry, size: number): Buffer => {
  const numberOf = (value: number | Buffer | undefined, otherwise: number) => (typeof value === 'number' ? value : otherwise);
  const block = encodeBlock({
    name: Buffer.from(entry.name).toString('latin1'),
    flag: entry.type ?? '0',
    mode: entry.mode ?? (entry.type === '5' ? 0o755 : 0o644),
    uid: numberOf(entry.uid, 0),
    gid: entry.gid ?? 0,
    size: numberOf(entry.size, size),
    mtime: numberOf(entry.mtime, 0),
    link: Buffer.from(entry.link ?? '').toString('latin1'),
    deviceMajor: 0,
    deviceMinor: 0,
  });
  const put = (bytes: unknown, at: number) => (typeof bytes === 'string' || Buffer.isBuffer(bytes)) && Buffer.from(bytes).copy(block, at);
  put(entry.uid, 108);
  put(entry.size, 124);
  put(entry.mtime, 136);
  put(entry.magic, 257);
  put(entry.dev?.[0], 329);
  put(entry.dev?.[1], 337);
  put(entry.prefix, 345);
  for (const [at, bytes] of entry.patch ?? []) {
    bytes.copy(block, at);
  }
  writeChecksum(block);
  return block;
};

export const rawEntry = (entry: RawEntry): Buffer => {
  const data = Buffer.from(entry.data ?? '');
  const parts = [rawHeader(entry, data.length), entry.extra ?? Buffer.alloc(0), pad(data)];
  if (entry.pax !== undefined) {
    const records = paxData(entry.pax);
    parts.unshift(rawHeader({ name: 'pax', type: 'x' }, records.length), pad(records));
  }
  return Buffer.concat(parts);
};

export const rawTar = (entries: readonly RawEntry[], options: { endBlocks?: number } = {}): Buffer =>
  Buffer.concat([...entries.map(rawEntry), Buffer.alloc(BLOCK * (options.endBlocks ?? 2))]);

export const dir = (name: string, rest: Partial<RawEntry> = {}): RawEntry => ({ name, type: '5', ...rest });
export const file = (name: string | Buffer, data = name.toString(), rest: Partial<RawEntry> = {}): RawEntry => ({ name, data, ...rest });

export const sha256 = (data: Uint8Array): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;

/** In pieces of `size` bytes, to cross every boundary. */
export async function* inPieces(data: Buffer, size = 1 << 16): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) {
    yield data.subarray(at, at + size);
  }
}
