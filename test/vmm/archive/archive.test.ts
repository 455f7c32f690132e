import { mkdir, readFile, readlink, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openTarMirror, openWebMirror } from '../../../vmm/archive/mirror.ts';
import { openArchive } from '../../../vmm/archive/open-archive.ts';
import { unpackDeb } from '../../../vmm/archive/unpack-deb.ts';
import { tempDir } from '../support.ts';
import { type Compression, makeArchive, makeDeb, makeKey, makeTar, serveMirror } from './support.ts';

const { signal } = new AbortController();
let keys: Awaited<ReturnType<typeof makeKey>>;
beforeAll(async () => {
  keys = await makeKey();
});

const PACKAGES = [
  { name: 'qemu', version: '1:10.0+ds-1', fields: 'Pre-Depends: libc (>= 2.41)\nDepends: firmware | seabios, libz\n' },
  { name: 'libc', version: '2.41-12' },
  { name: 'libz', version: '1.3' },
  { name: 'seabios', fields: 'Provides: firmware\n' },
  { name: 'unrelated' },
];

const open = (mirror: { address: string }, folder: string, publicKey = keys.publicKey) =>
  openArchive(folder, { mirror: openWebMirror(mirror.address, {}), suite: 'trixie', keys: publicKey }, signal);

describe('an archive', () => {
  it('gives the closure under the names of apt, and each file once', async () => {
    await using mirror = await serveMirror(await makeArchive(PACKAGES, keys));
    const folder = await tempDir();
    const archive = await open(mirror, folder);
    const resolved = await archive.resolve(['qemu']);
    expect(resolved.map(({ file }) => file)).toEqual([
      'libc_2.41-12_amd64.deb',
      'libz_1.3_amd64.deb',
      'qemu_1%3a10.0+ds-1_amd64.deb',
      'seabios_1.0_amd64.deb',
    ]);
    const percents: number[] = [];
    const debs = await archive.download(['qemu'], (percent) => percents.push(percent));
    expect(await Promise.all(debs.map((path) => readFile(path, 'utf8')))).toEqual(
      ['libc', 'libz', 'qemu', 'seabios'].map((name) => `deb of ${name}`),
    );
    expect(percents.at(-1)).toBe(100);
    const before = mirror.asked.length;
    await archive.download(['qemu']);
    expect(mirror.asked.length).toBe(before);
    await archive.clean();
    await expect(stat(join(folder, 'pool'))).rejects.toThrow('ENOENT');
  });

  it('asks for no index again on the same day', async () => {
    await using mirror = await serveMirror(await makeArchive(PACKAGES, keys));
    const folder = await tempDir();
    await open(mirror, folder);
    const before = mirror.asked.length;
    await open(mirror, folder);
    expect(mirror.asked.length).toBe(before);
  });

  it.each([
    ['signed by another key', async (files: Map<string, Buffer>) => files, async () => (await makeKey()).publicKey],
    [
      'changed after it was signed',
      async (files: Map<string, Buffer>) =>
        files.set(
          'dists/trixie/InRelease',
          Buffer.from(String(files.get('dists/trixie/InRelease')).replace('Origin: Test', 'Origin: Evil')),
        ),
      async () => keys.publicKey,
    ],
    [
      'not signed at all',
      async (files: Map<string, Buffer>) => files.set('dists/trixie/InRelease', Buffer.from('Codename: trixie\n')),
      async () => keys.publicKey,
    ],
  ])('refuses an index that is %s', async (_, change, key) => {
    const files = await makeArchive(PACKAGES, keys);
    await change(files);
    await using mirror = await serveMirror(files);
    await expect(open(mirror, await tempDir(), await key())).rejects.toMatchObject({
      code: 'TOOLCHAIN_FAILED',
      message: expect.stringContaining('index'),
    });
  });

  it.each([
    ['another suite', 'Codename: sid\n'],
    ['a time that is over', 'Codename: trixie\nValid-Until: Sat, 01 Jan 2022 00:00:00 UTC\n'],
  ])('refuses an index of %s', async (_, head) => {
    await using mirror = await serveMirror(await makeArchive(PACKAGES, { ...keys, head }));
    await expect(open(mirror, await tempDir())).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
  });

  it('keeps its index when a mirror has an older one', async () => {
    await using mirror = await serveMirror(await makeArchive(PACKAGES, keys));
    const folder = await tempDir();
    await open(mirror, folder);
    const newer = await readFile(join(folder, 'dists/trixie/InRelease'), 'utf8');
    mirror.files = await makeArchive([{ name: 'qemu', version: '0.1' }], { ...keys, date: 'Sat, 21 Nov 2020 09:15:44 UTC' });
    await utimes(join(folder, 'dists/trixie/InRelease'), 1, 1);
    const archive = await open(mirror, folder);
    expect((await archive.resolve(['qemu'])).map(({ file }) => file)).toContain('qemu_1%3a10.0+ds-1_amd64.deb');
    expect(await readFile(join(folder, 'dists/trixie/InRelease'), 'utf8')).toBe(newer);
  });

  it('looks for a newer index when the mirror no longer has a file', async () => {
    await using mirror = await serveMirror(await makeArchive([{ name: 'qemu', version: '1' }], keys));
    const archive = await open(mirror, await tempDir());
    mirror.files = await makeArchive([{ name: 'qemu', version: '2' }], keys);
    const [deb = ''] = await archive.download(['qemu']);
    expect(deb).toMatch(/qemu_2_amd64\.deb$/);
  });

  it('takes a bundle, without a network', async () => {
    const files = await makeArchive(PACKAGES, keys);
    const folder = await tempDir();
    const file = join(folder, 'bundle.tar');
    await writeFile(file, makeTar([...files].map(([name, content]) => ({ name, content }))));
    const archive = await openArchive(
      join(folder, 'cache'),
      { mirror: await openTarMirror(file), suite: 'trixie', keys: keys.publicKey },
      signal,
    );
    expect(await archive.download(['qemu'])).toHaveLength(4);
    await expect(archive.resolve(['nothing'])).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
  });

  it('refuses a bundle of which a package is damaged, and does not name mirrors', async () => {
    const files = await makeArchive(PACKAGES, keys);
    const folder = await tempDir();
    const file = join(folder, 'bundle.tar');
    const damaged = [...files].map(([name, content]) => ({
      name,
      content: /qemu.*\.deb$/.test(name) ? Buffer.alloc(content.length) : content,
    }));
    await writeFile(file, makeTar(damaged));
    const archive = await openArchive(
      join(folder, 'cache'),
      { mirror: await openTarMirror(file), suite: 'trixie', keys: keys.publicKey },
      signal,
    );
    await expect(archive.download(['qemu'])).rejects.toMatchObject({
      code: 'TOOLCHAIN_FAILED',
      hint: expect.stringContaining('copy the bundle again'),
    });
  });

  it('says what is wrong with a file that is no bundle', async () => {
    const file = join(await tempDir(), 'bundle.tar');
    await expect(openTarMirror(file)).rejects.toMatchObject({
      code: 'TOOLCHAIN_FAILED',
      message: expect.stringContaining('does not exist'),
    });
    await writeFile(file, 'no tar');
    await expect(openTarMirror(file)).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
  });
});

describe('a package', () => {
  const ENTRIES = [
    { name: './', type: 'dir', mode: 0o755 },
    { name: './usr/bin/', type: 'dir', mode: 0o755 },
    { name: './usr/bin/tool', mode: 0o4755, content: 'program' },
    { name: './usr/bin/other', type: 'hardlink', link: './usr/bin/tool' },
    { name: './bin', type: 'symlink', link: 'usr/bin' },
    { name: './bin/late', content: 'through a link' },
  ] as const;

  it.each(['.xz', '.gz', '.zst', ''] satisfies Compression[])('is unpacked, compressed as "%s"', async (as) => {
    const folder = await tempDir();
    await writeFile(join(folder, 'a.deb'), makeDeb(ENTRIES, as));
    const root = join(folder, 'root');
    await mkdir(root);
    await unpackDeb(join(folder, 'a.deb'), root, signal);
    expect(await readFile(join(root, 'usr/bin/other'), 'utf8')).toBe('program');
    expect(await readFile(join(root, 'usr/bin/late'), 'utf8')).toBe('through a link');
    expect(await readlink(join(root, 'bin'))).toBe('usr/bin');
    // Nobody becomes another user by it.
    expect((await stat(join(root, 'usr/bin/tool'))).mode & 0o7777).toBe(0o755);
  });

  it.each([
    ['a name that leaves the folder', [{ name: '../outside', content: 'x' }]],
    [
      'a link that leaves the folder',
      [
        { name: 'out', type: 'symlink', link: '..' },
        { name: 'out/outside', content: 'x' },
      ],
    ],
  ] as const)('is refused with %s', async (_, entries) => {
    const folder = await tempDir();
    await writeFile(join(folder, 'a.deb'), makeDeb(entries));
    const root = join(folder, 'root');
    await mkdir(root);
    await expect(unpackDeb(join(folder, 'a.deb'), root, signal)).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
    await expect(stat(join(folder, 'outside'))).rejects.toThrow('ENOENT');
  });

  it('is refused when it is none, or ends early', async () => {
    const folder = await tempDir();
    const file = join(folder, 'a.deb');
    await writeFile(file, 'not a package');
    await expect(unpackDeb(file, folder, signal)).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
    await writeFile(file, makeDeb([{ name: 'big', content: 'x'.repeat(1 << 20) }], '').subarray(0, 300_000));
    await expect(unpackDeb(file, folder, signal)).rejects.toThrow();
  });
});
