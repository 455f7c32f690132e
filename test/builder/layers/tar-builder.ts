import { createHash } from 'node:crypto';

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

export const pad = (data: Buffer): Buffer => Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)]);

export const paxData = (records: ReadonlyArray<readonly [string, string | Buffer]>): Buffer =>
  Buffer.concat(
    records.map(([key, value]) => {
      const bytes = Buffer.from(value);
      const rest = key.length + bytes.length + 3;
      let length = rest + String(rest).length;
      length = rest + String(length).length;
      return Buffer.concat([Buffer.from(`${length} ${key}=`), bytes, Buffer.from('\n')]);
    }),
  );

export const rawHeader = (entry: RawEntry, size: number): Buffer => {
  const block = Buffer.alloc(512);
  const put = (value: number | Buffer, at: number, length: number) =>
    (Buffer.isBuffer(value) ? value : octal(value, length)).copy(block, at);
  Buffer.from(entry.name).copy(block, 0, 0, 100);
  put(entry.mode ?? (entry.type === '5' ? 0o755 : 0o644), 100, 8);
  put(entry.uid ?? 0, 108, 8);
  put(entry.gid ?? 0, 116, 8);
  put(entry.size ?? size, 124, 12);
  put(entry.mtime ?? 0, 136, 12);
  block.write(entry.type ?? '0', 156, 'latin1');
  Buffer.from(entry.link ?? '').copy(block, 157, 0, 100);
  block.write(entry.magic ?? 'ustar\x0000', 257, 'latin1');
  block.write(entry.dev?.[0] ?? '0000000\0', 329, 'latin1');
  block.write(entry.dev?.[1] ?? '0000000\0', 337, 'latin1');
  block.write(entry.prefix ?? '', 345, 'latin1');
  for (const [at, bytes] of entry.patch ?? []) {
    bytes.copy(block, at);
  }
  block.write('        ', 148, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
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
  Buffer.concat([...entries.map(rawEntry), Buffer.alloc(512 * (options.endBlocks ?? 2))]);

export const dir = (name: string, rest: Partial<RawEntry> = {}): RawEntry => ({ name, type: '5', ...rest });
export const file = (name: string | Buffer, data = name.toString(), rest: Partial<RawEntry> = {}): RawEntry => ({ name, data, ...rest });

export const sha256 = (data: Uint8Array): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;

/** In pieces of `size` bytes, to cross every boundary. */
export async function* inPieces(data: Buffer, size = 1 << 16): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) {
    yield data.subarray(at, at + size);
  }
}
