import { mkdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { normaliseLayer } from '../../../builder/layers/normalise.ts';
import { scanTarFile } from '../../../builder/layers/scan-file.ts';
import { Slots } from '../../../builder/model/slots.ts';
import { folder, normal, refused } from './normalising.ts';
import { base256, dir, file, inPieces, octal, pad, type RawEntry, rawTar, sha256 } from './tar-builder.ts';

describe('attributes', () => {
  test('owners beyond 16 bits, in octal, base-256 and PAX', async () => {
    const { seen } = await normal([
      file('a', '', { uid: 70_000 }),
      file('b', '', { uid: base256(4e9, 8) }),
      file('c', '', {
        pax: [
          ['uid', '4000000000'],
          ['gid', '65536'],
        ],
      }),
      file('c/../d', ''),
    ]);
    expect(seen).toMatchObject({ a: 'file 644 70000:0 0 ""', b: 'file 644 4000000000:0 0 ""', c: 'file 644 4000000000:65536 0 ""' });
  });
  test('owners beyond 32 bits are refused', async () => {
    await refused([file('a', '', { pax: [['uid', '4294967296']] })]);
  });
  test('times before 1970 become 1970, in PAX and base-256', async () => {
    const { seen } = await normal([
      file('a', '', { pax: [['mtime', '-5.5']] }),
      file('b', '', { mtime: base256(-7, 12) }),
      file('c', '', { pax: [['mtime', '17.25']] }),
    ]);
    expect(seen).toMatchObject({ a: 'file 644 0:0 0 ""', b: 'file 644 0:0 0 ""', c: 'file 644 0:0 17.25 ""' });
  });
  test('extended attributes keep their bytes; user, trusted, security', async () => {
    const value = Buffer.from([0, 0x80, 0xff, 10]);
    const { seen, verbatim } = await normal([
      file('a', '', {
        pax: [
          ['SCHILY.xattr.user.x', value],
          ['SCHILY.xattr.security.capability', value],
          ['SCHILY.xattr.trusted.t', 'v'],
        ],
      }),
    ]);
    expect(verbatim).toBe(true);
    expect(seen.a).toBe('file 644 0:0 0 "" user.x=0080ff0a security.capability=0080ff0a trusted.t=76');
  });
  test('LIBARCHIVE’s form becomes SCHILY’s', async () => {
    const { seen } = await normal([file('a', '', { pax: [['LIBARCHIVE.xattr.user.a%25b', Buffer.from([0, 0xfe]).toString('base64')]] })]);
    expect(seen.a).toBe('file 644 0:0 0 "" user.a%b=00fe');
  });
  test('ACL texts, foreign name spaces and overlay redirects are dropped', async () => {
    const { seen } = await normal([
      file('a', '', {
        pax: [
          ['SCHILY.acl.access', 'u::rw-'],
          ['SCHILY.xattr.com.apple.x', 'y'],
          ['SCHILY.xattr.trusted.overlay.redirect', '/etc'],
        ],
      }),
    ]);
    expect(seen.a).toBe('file 644 0:0 0 ""');
  });
  test('global PAX headers and unknown PAX keys mean nothing', async () => {
    const global = { name: 'g', type: 'g', data: '12 uid=4000\n' };
    expect((await normal([global, file('a', '', { pax: [['GARBAGE.key', 'x']] })])).seen.a).toBe('file 644 0:0 0 ""');
  });
});

describe('kinds', () => {
  test('old regular files (type NUL) and v7 headers without magic', async () => {
    const { seen } = await normal([
      file('a', '1', { type: '\0' }),
      dir('d/', { type: '\0' }),
      file('b', '2', { magic: '\0\0\0\0\0\0\0\0' }),
    ]);
    expect(seen).toMatchObject({ a: 'file 644 0:0 0 "1"', b: 'file 644 0:0 0 "2"', d: 'dir 644 0:0 0' });
  });
  test('contiguous files (7) are files', async () => {
    expect((await normal([file('a', '1', { type: '7' })])).seen.a).toBe('file 644 0:0 0 "1"');
  });
  test('sockets are dropped', async () => {
    expect(Object.keys((await normal([{ name: 's', type: 's' }, file('a')])).seen)).toEqual(['.', 'a']);
  });
  test('device numbers that are blank count as 0, broken ones are refused', async () => {
    expect((await normal([{ name: 'n', type: '3', dev: ['       \0', '       \0'] }])).seen.n).toBe('char 644 0:0 0 0:0');
    await refused([{ name: 'n', type: '3', dev: ['zzz', '0'] }]);
  });
  test('unknown types are refused by name', async () => {
    expect(await refused([{ name: 'what', type: 'Q' }])).toContain('what');
  });
  test('folders and links with a size have no content', async () => {
    const { seen } = await normal([dir('d/', { size: 4096 }), { name: 'l', type: '2', link: 'd', size: 7 }, file('a', 'x')]);
    expect(Object.keys(seen).sort()).toEqual(['.', 'a', 'd', 'l']);
  });
});

describe('sparse files', () => {
  const expanded = `${'A'.repeat(512)}${'\0'.repeat(1536)}${'B'.repeat(512)}${'\0'.repeat(440)}`;
  const pieces = [
    [0, 512],
    [2048, 512],
    [3000, 0],
  ] as const;
  const data = 'A'.repeat(512) + 'B'.repeat(512);
  const bytes = async () => {
    const tar = await readFile(join(folder, 'layer.tar'));
    let found = '';
    await scanTarFile(join(folder, 'layer.tar'), { extension: 1 << 20, fileSize: 2 ** 40 }, (entry) => {
      if (entry.path === 'sp') {
        found = tar.toString('latin1', entry.data, entry.data + entry.size);
      }
    });
    return found;
  };
  const gnuMap = (list: ReadonlyArray<readonly [number, number]>) =>
    Buffer.concat(list.map(([at, length]) => Buffer.concat([octal(at, 12), octal(length, 12)])));

  test('old GNU format', async () => {
    await normal([
      {
        name: 'sp',
        type: 'S',
        magic: 'ustar  \0',
        data,
        patch: [
          [386, gnuMap(pieces)],
          [483, octal(3000, 12)],
        ],
      },
      file('after'),
    ]);
    expect(await bytes()).toBe(expanded);
  });
  test('old GNU format with extension blocks', async () => {
    const extra = Buffer.alloc(512);
    gnuMap(pieces.slice(1)).copy(extra);
    const patch: Array<[number, Buffer]> = [
      [386, gnuMap(pieces.slice(0, 1))],
      [482, Buffer.from([1])],
      [483, octal(3000, 12)],
    ];
    await normal([{ name: 'sp', type: 'S', magic: 'ustar  \0', data, patch, extra }, file('after')]);
    expect(await bytes()).toBe(expanded);
  });
  test('PAX 0.0, 0.1 and 1.0', async () => {
    const map = `3\n${pieces.flat().join('\n')}\n`;
    const forms: RawEntry[] = [
      {
        name: 'sp',
        data,
        pax: [
          ['GNU.sparse.size', '3000'],
          ...pieces.flatMap(
            ([at, length]): Array<[string, string]> => [
              ['GNU.sparse.offset', `${at}`],
              ['GNU.sparse.numbytes', `${length}`],
            ],
          ),
        ],
      },
      {
        name: 'x',
        data,
        pax: [
          ['GNU.sparse.size', '3000'],
          ['GNU.sparse.name', 'sp'],
          ['GNU.sparse.map', pieces.flat().join(',')],
        ],
      },
      {
        name: 'x',
        data: Buffer.concat([pad(Buffer.from(map)), Buffer.from(data)]),
        pax: [
          ['GNU.sparse.major', '1'],
          ['GNU.sparse.minor', '0'],
          ['GNU.sparse.name', 'sp'],
          ['GNU.sparse.realsize', '3000'],
        ],
      },
    ];
    for (const form of forms) {
      await normal([form, file('after')]);
      expect(await bytes()).toBe(expanded);
      rmSync(join(folder, 'layer.tar'));
      rmSync(join(folder, 'recipe.gz'));
    }
  });
  test('pieces that overlap, or say more than is there, are refused', async () => {
    await refused([
      {
        name: 'sp',
        data,
        pax: [
          ['GNU.sparse.size', '3000'],
          ['GNU.sparse.map', '0,512,100,512'],
        ],
      },
    ]);
    rmSync(join(folder, 'original.tar'));
    rmSync(join(folder, 'layer.tar'));
    await refused([
      {
        name: 'sp',
        data,
        pax: [
          ['GNU.sparse.size', '9000'],
          ['GNU.sparse.map', '0,512,2048,4096'],
        ],
      },
    ]);
  });
});

describe('layers of many files', () => {
  const many = (letter: string) => rawTar(Array.from({ length: 40 }, (_, index) => file(`${letter}${index}`, letter.repeat(40_000))));
  const normalise = (tar: Buffer, name: string) => {
    mkdirSync(join(folder, name));
    return normaliseLayer(inPieces(tar, 10_000), { folder: join(folder, name), limits: { large: 5 } });
  };

  test('that come at once are looked at one after the other, from the disk', async () => {
    const tars = ['a', 'b', 'c'].map(many);
    const read = vi.spyOn(Slots.prototype, 'acquire');
    const layers = await Promise.all(tars.map((tar, index) => normalise(tar, `${index}`)));
    expect(read).toHaveBeenCalledTimes(2);
    expect(layers.map(({ diffId, verbatim }) => [diffId, verbatim])).toEqual(tars.map((tar) => [sha256(tar), true]));
    read.mockRestore();
  });

  test('let the next one go on when they fail', async () => {
    const damaged = many('a').subarray(0, -30_000);
    const results = await Promise.allSettled([damaged, many('b'), damaged, many('c')].map((tar, index) => normalise(tar, `${index}`)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
  });
});
