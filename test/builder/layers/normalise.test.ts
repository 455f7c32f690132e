import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { normaliseLayer } from '../../../builder/layers/normalise.ts';
import { folder, normal, ROOT, refused } from './normalising.ts';
import { base256, dir, file, inPieces, pad, type RawEntry, rawHeader, rawTar, sha256 } from './tar-builder.ts';

describe('what is in order stays as it is', () => {
  test('and only gets a root entry and an end mark', async () => {
    const { verbatim, seen } = await normal([dir('etc/'), file('etc/a', 'x'), { name: 'etc/l', type: '2', link: '/a', mode: 0o777 }]);
    expect(verbatim).toBe(true);
    expect(seen).toEqual({ etc: 'dir 755 0:0 0', 'etc/a': 'file 644 0:0 0 "x"', 'etc/l': 'symlink 777 0:0 0 /a', '.': ROOT });
  });
  test('a root entry of its own is honoured', async () => {
    const { verbatim, seen } = await normal([dir('./', { mode: 0o700, uid: 5 }), file('./a')]);
    expect(verbatim).toBe(true);
    expect(seen['.']).toBe('dir 700 5:0 0');
  });
  test('whiteouts, opaque folders, hard links, devices, fifo, setuid, sticky, PAX and GNU long names', async () => {
    const long = `d/${'n'.repeat(250)}`;
    const { verbatim, seen } = await normal([
      dir('d/', { mode: 0o1777 }),
      file('d/.wh..wh..opq', ''),
      file('d/.wh.gone', ''),
      file('d/su', 'x', { mode: 0o4755 }),
      { name: 'd/hard', type: '1', link: './d/su' },
      { name: 'd/tty', type: '3', dev: ['0000004\0', '0000001\0'] },
      { name: 'd/sda', type: '4', dev: ['0000010\0', '0000000\0'] },
      { name: 'd/pipe', type: '6' },
      file('short', 'y', { pax: [['path', long]] }),
    ]);
    expect(verbatim).toBe(true);
    expect(seen).toMatchObject({
      d: 'dir 1777 0:0 0',
      'd/su': 'file 4755 0:0 0 "x"',
      'd/hard': 'hardlink 644 0:0 0 ./d/su',
      'd/tty': 'char 644 0:0 0 4:1',
      'd/sda': 'block 644 0:0 0 8:0',
      'd/pipe': 'fifo 644 0:0 0',
      [long]: 'file 644 0:0 0 "y"',
    });
  });
  test('char 0:0 with an opaque attribute, as overlayfs has it', async () => {
    const { seen } = await normal([
      dir('d/', { pax: [['SCHILY.xattr.trusted.overlay.opaque', 'y']] }),
      { name: 'd/gone', type: '3', dev: ['0000000\0', '0000000\0'] },
    ]);
    expect(seen).toMatchObject({ d: 'dir 755 0:0 0  trusted.overlay.opaque=79', 'd/gone': 'char 644 0:0 0 0:0' });
  });
});

describe('whiteouts', () => {
  test('bookkeeping of aufs (.wh..wh.plnk, .wh..wh.aufs) is left out, with all below it', async () => {
    const { seen } = await normal([dir('.wh..wh.plnk/'), file('.wh..wh.plnk/1.2'), file('.wh..wh.aufs', ''), file('a', 'x')]);
    expect(Object.keys(seen)).toEqual(['.', 'a']);
  });
  test('beside a file of that name: the file replaces it', async () => {
    for (const entries of [
      [file('.wh.a', ''), file('a', 'x')],
      [file('a', 'x'), file('.wh.a', '')],
    ]) {
      expect((await normal(entries)).seen).toEqual({ '.': ROOT, a: 'file 644 0:0 0 "x"' });
      rmSync(join(folder, 'layer.tar'));
      rmSync(join(folder, 'recipe.gz'));
    }
  });
  test('beside a folder of that name: the folder hides what was below', async () => {
    expect(Object.keys((await normal([file('.wh.d', ''), dir('d/'), file('d/x')])).seen)).toEqual(['.', 'd', 'd/.wh..wh..opq', 'd/x']);
  });
  test.each<[string, RawEntry]>([
    ['a hard link to nothing', { name: '.wh.a', type: '1', link: 'a' }],
    ['a symlink', { name: '.wh.a', type: '2', link: 'a' }],
    ['a device', { name: '.wh.a', type: '3' }],
    ['a file that has something in it', file('.wh.a', 'x')],
  ])('that is %s in the archive is an empty file in the layer', async (_, entry) => {
    const { seen } = await normal([dir('./'), entry]);
    expect(seen['.wh.a']).toMatch(/^file .* ""$/);
  });
  test('an opaque root is told', async () => {
    expect((await normal([file('.wh..wh..opq', ''), file('a')])).opaqueRoot).toBe(true);
  });
  test('of a folder that has no entry: it is made', async () => {
    expect((await normal([file('a/b/.wh.c', '')])).seen).toMatchObject({ a: ROOT, 'a/b': ROOT, 'a/b/.wh.c': 'file 644 0:0 0 ""' });
  });
  test('of a folder that is none in the end go with it', async () => {
    expect((await normal([dir('d/'), file('d/.wh.x', ''), file('d', 'f')])).seen).toEqual({ '.': ROOT, d: 'file 644 0:0 0 "f"' });
  });
  test.each(['.wh.', '.wh..', '.wh...', 'd/.wh.x/y'])('%s is refused', async (name) => {
    await refused([file(name, '')]);
  });
});

describe('names', () => {
  test('a missing root is 0755 of root', async () => {
    expect((await normal([file('a/b')])).seen['.']).toBe(ROOT);
  });
  test('implied parents are 0755 of root, not of the caller', async () => {
    expect((await normal([file('a/b/c', 'x', { uid: 7 })])).seen).toMatchObject({ a: ROOT, 'a/b': ROOT });
  });
  test('the last of a name wins', async () => {
    expect((await normal([file('a', 'one'), file('a', 'two', { mode: 0o600 })])).seen.a).toBe('file 600 0:0 0 "two"');
  });
  test('a folder twice keeps its content and takes the last attributes', async () => {
    expect((await normal([dir('d/'), file('d/x', '1'), dir('./d', { mode: 0o700 })])).seen).toEqual({
      '.': ROOT,
      d: 'dir 700 0:0 0',
      'd/x': 'file 644 0:0 0 "1"',
    });
  });
  test('a file after a folder of that name replaces it and all below; a folder a file', async () => {
    expect((await normal([dir('d/'), file('d/x'), file('d', 'f'), file('e'), dir('e/'), file('e/y', '2')])).seen).toEqual({
      '.': ROOT,
      d: 'file 644 0:0 0 "f"',
      e: ROOT,
      'e/y': 'file 644 0:0 0 "2"',
    });
  });
  test('through a symlink of the layer, relative, absolute and upwards', async () => {
    const link = (name: string, target: string): RawEntry => ({ name, type: '2', link: target, mode: 0o777 });
    const { seen } = await normal([
      dir('usr/'),
      dir('usr/lib/'),
      link('lib', 'usr/lib'),
      file('lib/x', '1'),
      link('usr/abs', '/usr/lib'),
      file('usr/abs/y', '2'),
      link('usr/lib/up', '../../../../usr'),
      file('lib/up/z', '3'),
    ]);
    expect(seen).toMatchObject({
      lib: 'symlink 777 0:0 0 usr/lib',
      'usr/lib/x': 'file 644 0:0 0 "1"',
      'usr/lib/y': 'file 644 0:0 0 "2"',
      'usr/z': 'file 644 0:0 0 "3"',
    });
  });
  test('symlinks in a circle are refused', async () => {
    expect(await refused([{ name: 'a', type: '2', link: 'b' }, { name: 'b', type: '2', link: 'a' }, file('a/x')])).toContain(
      'too many symlinks',
    );
  });
  test('a/../b is b, and ../ never leaves the root', async () => {
    expect(Object.keys((await normal([dir('a/'), file('a/../b'), file('../../evil'), file('/abs')])).seen)).toEqual([
      '.',
      'a',
      'b',
      'evil',
      'abs',
    ]);
  });
  test('below a file: refused', async () => {
    expect(await refused([file('a'), file('a/b')])).toContain('a is not a folder');
  });
  test('255 bytes are kept, 256 refused', async () => {
    expect(Object.keys((await normal([file('x', '', { pax: [['path', 'n'.repeat(255)]] })])).seen)).toContain('n'.repeat(255));
    await refused([file('x', '', { pax: [['path', 'n'.repeat(256)]] })]);
  });
  test('names that are no UTF-8 keep their bytes', async () => {
    expect(Object.keys((await normal([file(Buffer.from([0x61, 0xff, 0xfe])), file('a', ''), file('a', '')])).seen)).toContain('a\xff\xfe');
  });
  test('GNU long names and link names', async () => {
    const name = `d/${'n'.repeat(200)}`;
    const target = `d/${'t'.repeat(180)}`;
    const long = (type: string, text: string) =>
      Buffer.concat([rawHeader({ name: '././@LongLink', type }, text.length + 1), pad(Buffer.from(`${text}\0`))]);
    const { seen } = await normal(
      Buffer.concat([
        rawTar([dir('d/')], { endBlocks: 0 }),
        long('L', name),
        long('K', target),
        rawTar([{ name: 'cut', type: '2', link: 'cut', magic: 'ustar  \0' }]),
      ]),
    );
    expect(seen[name]).toBe(`symlink 644 0:0 0 ${target}`);
  });
  test('the ustar prefix is part of the name, but not in GNU’s format', async () => {
    const { seen } = await normal([dir('p/'), file('a', '1', { prefix: 'p' }), file('b', '2', { prefix: '12345', magic: 'ustar  \0' })]);
    expect(Object.keys(seen)).toEqual(expect.arrayContaining(['p/a', 'b']));
  });
});

describe('hard links', () => {
  const hard = (name: string, link: string): RawEntry => ({ name, type: '1', link });
  test('targets as a, /a and ./a', async () => {
    const { seen } = await normal([file('a', 'x'), hard('b', '/a'), hard('c', './a'), hard('d', 'a'), file('z/implied')]);
    expect(seen).toMatchObject({ b: 'hardlink 644 0:0 0 a', c: 'hardlink 644 0:0 0 a', d: 'hardlink 644 0:0 0 a' });
  });
  test('before their target come after it', async () => {
    const { seen } = await normal([hard('b', 'a'), file('a', 'x')]);
    expect(Object.values(seen).slice(1)).toEqual(['file 644 0:0 0 "x"', 'hardlink 644 0:0 0 a']);
  });
  test('to a path that the layer does not have: refused', async () => {
    expect(await refused([hard('b', 'nowhere')])).toContain('which the layer does not have');
  });
  test('to a folder: refused', async () => {
    await refused([dir('d/'), hard('b', 'd')]);
  });
  test('keep the content when their target is replaced later', async () => {
    expect((await normal([file('a', 'old'), hard('b', 'a'), file('a', 'new')])).seen).toMatchObject({
      a: 'file 644 0:0 0 "new"',
      b: 'file 644 0:0 0 "old"',
    });
  });
  test('to symlinks and devices become further ones', async () => {
    const { seen } = await normal([{ name: 's', type: '2', link: 't' }, hard('b', 's')]);
    expect(seen.b).toBe('symlink 644 0:0 0 t');
  });
});

describe('damage and limits', () => {
  test('a missing end mark is tolerated, one block of it too, garbage after it as well', async () => {
    for (const tar of [
      rawTar([file('a')], { endBlocks: 0 }),
      rawTar([file('a')], { endBlocks: 1 }),
      Buffer.concat([rawTar([file('a')]), Buffer.from('garbage')]),
    ]) {
      expect(Object.keys((await normal(tar)).seen)).toContain('a');
      rmSync(join(folder, 'layer.tar'));
      rmSync(join(folder, 'recipe.gz'));
    }
  });
  test('an archive cut in a header, in content, or after an extended header is refused', async () => {
    const whole = rawTar([file('a', 'x'.repeat(2000), { pax: [['uid', '5']] })]);
    for (const length of [300, 512, 900, 1024, 1536, 1600, 3000]) {
      await refused(whole.subarray(0, length));
      rmSync(join(folder, 'original.tar'));
    }
  });
  test('a wrong checksum is refused', async () => {
    const tar = rawTar([file('a')]);
    tar[0] = 0x62;
    expect(await refused(tar)).toContain('checksum');
  });
  test('another digest than expected: IMAGE_CORRUPT', async () => {
    await expect(normaliseLayer(inPieces(rawTar([])), { folder, expectedDiffId: sha256(Buffer.from('other')) })).rejects.toMatchObject({
      code: 'IMAGE_CORRUPT',
    });
  });
  test('limits on entries, bytes, paths, depth, extended headers and attributes', async () => {
    const cases: Array<[RawEntry[], object]> = [
      [[file('a'), file('b')], { entries: 1 }],
      [[file('a/b/c/d')], { entries: 3 }],
      [[{ name: 'l', type: '2', pax: [['linkpath', 'a/'.repeat(3000)]] }], {}],
      [[file('a', 'xxxx')], { bytes: 600 }],
      [[file('x', '', { pax: [['path', 'a/'.repeat(3000)]] })], {}],
      [[dir('a/b/c/d/')], { depth: 3 }],
      [[file('a', '', { pax: [['comment', 'x'.repeat(5000)]] })], { extension: 4096 }],
      [[file('a', '', { pax: [['SCHILY.xattr.user.x', 'x'.repeat(70_000)]] })], {}],
      [[file('a', '', { size: base256(2n ** 50n, 12) })], {}],
    ];
    for (const [entries, limits] of cases) {
      await refused(entries, { limits });
      rmSync(join(folder, 'original.tar'));
    }
  });
  test('a header larger than its pieces, and pieces larger than it', async () => {
    for (const piece of [1, 511, 512, 513, 1 << 20]) {
      await normal([dir('d/'), file('d/x', 'x'.repeat(1500), { pax: [['path', `d/${'n'.repeat(120)}`]] })], { piece });
      rmSync(join(folder, 'layer.tar'));
      rmSync(join(folder, 'recipe.gz'));
    }
  });
});
