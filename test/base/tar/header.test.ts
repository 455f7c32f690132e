import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK, encodeBlock, hasValidChecksum, isZeroBlock, numberAt, padding, textAt, writeChecksum } from '../../../base/tar/block.ts';
import { decodeHeader, type EntryType, encodeHeader, encodePlainFile, readFlag, type TarHeader } from '../../../base/tar/header.ts';
import { encodePax, parsePax } from '../../../base/tar/pax.ts';
import { readTar, StreamSource } from '../../../base/tar/reader.ts';
import { base256 } from '../../builder/layers/tar-builder.ts';

const FIELDS = { name: 'a', flag: '0', mode: 0o644, uid: 1, gid: 2, size: 3, mtime: 4, link: '', deviceMajor: 0, deviceMinor: 0 };

const readAll = async (data: Buffer, piece = 700): Promise<TarHeader[]> => {
  const pieces = async function* () {
    for (let at = 0; at < data.length; at += piece) {
      yield data.subarray(at, at + piece);
    }
  };
  const headers: TarHeader[] = [];
  for await (const { header } of readTar(new StreamSource(pieces()))) {
    headers.push(header);
  }
  return headers;
};

describe('a header block', () => {
  test('has the bytes of ustar', () => {
    const block = encodeBlock({ ...FIELDS, name: 'etc/hosts', flag: '2', link: '../run/hosts', deviceMajor: 8, deviceMinor: 1 });
    const field = (from: number, to: number) => block.toString('latin1', from, to);
    expect(field(0, 10)).toBe('etc/hosts\0');
    expect(field(100, 148)).toBe('0000644\x000000001\x000000002\x0000000000003\x0000000000004\0');
    expect(field(148, 156)).toMatch(/^[0-7]{6}\0 $/);
    expect(field(156, 157)).toBe('2');
    expect(field(157, 170)).toBe('../run/hosts\0');
    expect(field(257, 265)).toBe('ustar\x0000');
    expect(field(329, 345)).toBe('0000010\x000000001\0');
    expect(hasValidChecksum(block)).toBe(true);
  });

  test('is known by its checksum, of either way of summing', () => {
    const block = encodeBlock({ ...FIELDS, name: '\xff\xfe' });
    expect(readFlag(block)).toBe('0');
    // Old Sun tar summed signed bytes: each of these two counts for 256 less.
    block.write((numberAt(block, 148, 8) - 512).toString(8).padStart(6, '0'), 148, 'latin1');
    expect(hasValidChecksum(block)).toBe(true);
    block[0] = 0x41;
    expect(() => readFlag(block)).toThrow(expect.objectContaining({ code: 'IMAGE_LAYER' }));
    writeChecksum(block);
    expect(readFlag(block)).toBe('0');
  });

  test('is empty only when all of it is zero', () => {
    expect(isZeroBlock(Buffer.alloc(BLOCK))).toBe(true);
    expect(isZeroBlock(Buffer.alloc(BLOCK).fill(1, BLOCK - 1))).toBe(false);
  });
});

describe('a number of a header', () => {
  const numberIn = (bytes: Buffer) => numberAt(Buffer.concat([bytes, Buffer.alloc(12 - bytes.length)]), 0, 12);

  test.each([
    ['0000644\0', 0o644],
    ['  644 \0', 0o644],
    ['644         ', 0o644],
    ['777777777777', 0o777777777777],
    ['\0garbage', 0],
    ['', 0],
  ])('%j is read as %d', (text, value) => {
    expect(numberIn(Buffer.from(text, 'latin1'))).toBe(value);
  });

  test.each(['12x', '9', '-1', '0x10', '6 4'])('%j is refused', (text) => {
    expect(() => numberIn(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'IMAGE_LAYER' }));
  });

  test('of any size comes back from base-256; beyond 2^53 it is refused', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(numberIn(base256(value, 12))).toBe(value);
      }),
    );
    expect(() => numberIn(base256(2n ** 60n, 12))).toThrow('2^53');
  });
});

describe('PAX records', () => {
  const key = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 120 }).filter((text) => !text.includes('='));
  const records = fc.array(
    fc.tuple(
      key,
      fc.uint8Array({ maxLength: 1200 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 5 },
  );

  test('come back as they were written, whatever they hold', () => {
    fc.assert(
      fc.property(records, fc.nat(20), (written, nuls) => {
        const data = Buffer.concat([...written.map(encodePax), Buffer.alloc(nuls)]);
        expect(parsePax(data)).toEqual(written);
      }),
    );
  });

  test.each(['5 a=b\n', '99 a=b\n', '6 ab\n\n', 'a=b\n', '6 a=b ', '-6 a=b\n', '0 a=b\n'])('%j are refused', (text) => {
    expect(() => parsePax(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'IMAGE_LAYER' }));
  });
});

describe('an entry', () => {
  const text = (maxLength: number) =>
    fc.string({ unit: 'binary', minLength: 1, maxLength }).filter((each) => !/[\0/]/.test(each) && Buffer.from(each).toString() === each);
  const id = fc.integer({ min: 0, max: 2 ** 32 - 2 });
  const entry: fc.Arbitrary<TarHeader> = fc.record({
    name: text(300),
    type: fc.constantFrom<EntryType>('file', 'hardlink', 'symlink', 'char', 'block', 'fifo'),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: id,
    gid: id,
    size: fc.constant(0),
    mtime: fc.integer({ min: 0, max: 2 ** 40 }),
    link: text(300),
    deviceMajor: fc.integer({ min: 0, max: 0o7777777 }),
    deviceMinor: fc.integer({ min: 0, max: 0o7777777 }),
    xattrs: fc
      .dictionary(
        text(20).filter((name) => !name.includes('=')),
        fc.uint8Array({ maxLength: 40 }),
      )
      .map((found) => new Map(Object.entries(found).map(([name, value]) => [name, Buffer.from(value)]))),
  });

  test('comes back as it was written, in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 4 }), fc.integer({ min: 1, max: 2000 }), async (entries, piece) => {
        const data = Buffer.concat([...entries.map(encodeHeader), Buffer.alloc(2 * BLOCK)]);
        expect(data.length % BLOCK).toBe(0);
        expect(await readAll(data, piece)).toEqual(entries);
      }),
    );
  });

  test('of a plain file is one block', async () => {
    const data = Buffer.concat([encodePlainFile('index.json', 3), Buffer.from('{}\n'), Buffer.alloc(padding(3))]);
    expect(data.length).toBe(2 * BLOCK);
    expect(await readAll(data)).toMatchObject([{ name: 'index.json', type: 'file', mode: 0o644, uid: 0, size: 3, mtime: 0 }]);
  });

  test('whose type cannot be written is refused', () => {
    expect(() => encodeHeader({ ...decodeHeader(encodeBlock(FIELDS), new Map()), type: 'other' })).toThrow('cannot be written');
  });

  test('has the prefix of ustar before its name, and of no other magic', () => {
    const block = encodeBlock({ ...FIELDS, name: 'file' });
    block.write('deep/folder', 345, 'latin1');
    expect(decodeHeader(block, new Map()).name).toBe('deep/folder/file');
    block.write('ustar  \0', 257, 'latin1');
    expect(decodeHeader(block, new Map()).name).toBe('file');
    expect(textAt(block, 345, 155)).toBe('deep/folder');
  });
});

test('damaged archives are refused or read, never worse', async () => {
  const base = { ...decodeHeader(encodeBlock({ ...FIELDS, size: 0 }), new Map()), xattrs: new Map([['user.x', Buffer.from('y')]]) };
  const whole = Buffer.concat([
    encodeHeader({ ...base, name: 'n'.repeat(150) }),
    encodeHeader({ ...base, name: 'dir/', type: 'dir' }),
    encodeHeader({ ...base, name: 'f', size: 700 }),
    Buffer.alloc(1024, 'content'),
    Buffer.alloc(2 * BLOCK),
  ]);
  const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 12 }), fc.nat(whole.length), fc.boolean(), async (changes, cut, sums) => {
      const damaged = Buffer.from(whole);
      for (const [at, byte] of changes) {
        damaged[at] = byte;
      }
      for (let at = 0; sums && at < damaged.length; at += BLOCK) {
        if (damaged.toString('latin1', at + 257, at + 262) === 'ustar') {
          writeChecksum(damaged.subarray(at, at + BLOCK));
        }
      }
      await readAll(damaged.subarray(0, cut)).catch((error) => expect(error).toMatchObject({ code: 'IMAGE_LAYER' }));
    }),
    { numRuns: 300 },
  );
});
