import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { padding } from '../../../base/tar/block.ts';
import { encodeHeader, type TarHeader } from '../../../base/tar/header.ts';
import { packFiles } from '../../../engine/client/files/pack-files.ts';
import { statTar } from '../../../engine/client/files/stat-path.ts';
import { unpackFiles } from '../../../engine/client/files/unpack-files.ts';
import { type RefusalReason, refused } from '../../../guest/protocol/refusal.ts';
import { runs } from '../../support/seed.ts';

const temp = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-copy-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

type Item = Partial<TarHeader> & { readonly name: string; readonly text?: string };

async function* tarOf(items: readonly Item[]): AsyncGenerator<Uint8Array> {
  for (const { text = '', ...own } of items) {
    const size = own.type === undefined || own.type === 'file' ? text.length : 0;
    const none = { mode: 0o644, uid: 0, gid: 0, mtime: 1_700_000_000, link: '', deviceMajor: 0, deviceMinor: 0 };
    yield encodeHeader({ ...none, type: 'file', xattrs: new Map(), size, ...own });
    yield Buffer.concat([Buffer.from(text), Buffer.alloc(padding(size))]);
  }
  yield Buffer.alloc(1024);
}

const unpack = (items: readonly Item[], root: string, name = 'top') =>
  unpackFiles(tarOf(items), { keepOwner: false, place: async () => ({ root, name }) });

describe('files go there and back', () => {
  test('a tree with links, modes and times', async () => {
    const dir = temp();
    mkdirSync(join(dir, 'src', 'sub'), { recursive: true });
    writeFileSync(join(dir, 'src', 'a'), 'x'.repeat(1000), { mode: 0o750 });
    writeFileSync(join(dir, 'src', 'sub', 'empty'), '');
    symlinkSync('../a', join(dir, 'src', 'sub', 'link'));
    const tar = packFiles(join(dir, 'src'), { name: 'new', keepOwner: true, followLinks: false });
    expect(await unpackFiles(tar, { keepOwner: false, place: async () => ({ root: dir, name: 'out' }) })).toBe(0);
    expect(readFileSync(join(dir, 'out', 'a'), 'utf8')).toBe('x'.repeat(1000));
    expect(statSync(join(dir, 'out', 'a')).mode & 0o777).toBe(0o750);
    expect(readlinkSync(join(dir, 'out', 'sub', 'link'))).toBe('../a');
    expect(Math.floor(statSync(join(dir, 'out', 'a')).mtimeMs / 1000)).toBe(Math.floor(statSync(join(dir, 'src', 'a')).mtimeMs / 1000));
  });

  test('contents only, into a folder that exists; a file takes the name it is given; what is there is written over', async () => {
    const dir = temp();
    mkdirSync(join(dir, 'src'));
    writeFileSync(join(dir, 'src', 'a'), 'new');
    writeFileSync(join(dir, 'a'), 'old');
    const contents = packFiles(join(dir, 'src'), { name: '.', keepOwner: false, followLinks: false });
    await unpackFiles(contents, { keepOwner: false, place: async () => ({ root: dir, name: '.' }) });
    expect(readFileSync(join(dir, 'a'), 'utf8')).toBe('new');
    const file = packFiles(join(dir, 'a'), { name: 'a', keepOwner: false, followLinks: false });
    await unpackFiles(file, { keepOwner: false, place: async () => ({ root: dir, name: 'b' }) });
    expect(readFileSync(join(dir, 'b'), 'utf8')).toBe('new');
  });

  test('statTar says whether a tar begins with a folder or a file', async () => {
    expect(await statTar(tarOf([{ name: 'x/', type: 'dir' }]))).toBe('dir');
    expect(await statTar(tarOf([{ name: 'x' }]))).toBe('file');
    const refusing = (reason: RefusalReason): AsyncIterable<Uint8Array> => ({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(refused(reason, 'x: no such file or directory')) }),
    });
    expect(await statTar(refusing('notFound'))).toBeUndefined();
    await expect(statTar(refusing('archive'))).rejects.toThrow('no such file');
  });
});

describe('an archive that is not to be trusted', () => {
  test.each<[string, Item[]]>([
    ['climbs', [{ name: 'top/../../evil', text: 'x' }]],
    [
      'goes through a link of its own',
      [
        { name: 'top/', type: 'dir', mode: 0o755 },
        { name: 'top/l', type: 'symlink', link: '/tmp' },
        { name: 'top/l/evil', text: 'x' },
      ],
    ],
    [
      'links to what is outside',
      [
        { name: 'top/', type: 'dir', mode: 0o755 },
        { name: 'top/h', type: 'hardlink', link: 'top/../../secret' },
      ],
    ],
    [
      'puts a file over a folder',
      [
        { name: 'top/', type: 'dir', mode: 0o755 },
        { name: 'top/d/', type: 'dir' },
        { name: 'top/d', text: 'x' },
      ],
    ],
  ])('%s: refused', async (_, items) => {
    const dir = temp();
    const root = join(dir, 'in');
    mkdirSync(root);
    writeFileSync(join(dir, 'secret'), 's');
    await expect(unpack(items, root)).rejects.toThrow();
    expect(existsSync(join(dir, 'evil'))).toBe(false);
    expect(existsSync('/tmp/evil')).toBe(false);
  });

  test('a link in the way is replaced, not followed; devices are left out; rights are not given', async () => {
    const dir = temp();
    writeFileSync(join(dir, 'secret'), 's');
    symlinkSync('secret', join(dir, 'top'));
    expect(await unpack([{ name: 'top', text: 'x', mode: 0o4755 }], dir)).toBe(0);
    expect(readFileSync(join(dir, 'secret'), 'utf8')).toBe('s');
    expect(lstatSync(join(dir, 'top')).mode & 0o7777).toBe(0o755);
    expect(await unpack([{ name: 'd', type: 'char' }], dir, 'dev')).toBe(1);
    expect(existsSync(join(dir, 'dev'))).toBe(false);
  });

  test('whatever the names are, nothing leaves the folder', async () => {
    const part = fc.constantFrom('..', '.', '', 'a', 'b', 'l');
    const item = fc.record({
      name: fc.array(part, { maxLength: 5 }).map((parts) => parts.join('/') || 'x'),
      type: fc.constantFrom('file' as const, 'dir' as const, 'symlink' as const, 'hardlink' as const),
      link: fc.constantFrom('..', '/', '../../out', 'a', 'top/a', 'a/../../out'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 6 }), async (items) => {
        const dir = mkdtempSync(join(tmpdir(), 'hypr-copy-'));
        try {
          const root = join(dir, 'in', 'root');
          mkdirSync(root, { recursive: true });
          writeFileSync(join(dir, 'out'), 'untouched');
          const mode = (type: string) => (type === 'dir' ? 0o755 : 0o644);
          await unpack(
            items.map((each) => ({ ...each, mode: mode(each.type), text: each.type === 'file' ? 'x' : '' })),
            root,
          ).catch(() => {});
          expect(readFileSync(join(dir, 'out'), 'utf8')).toBe('untouched');
          expect(lstatSync(join(dir, 'out')).nlink).toBe(1);
          expect(lstatSync(join(dir, 'in')).isDirectory()).toBe(true);
        } finally {
          // A folder without rights is made as the archive has it, and only root removes what is in it then.
          execFileSync('chmod', ['-R', 'u+rwX', dir]);
          rmSync(dir, { recursive: true, force: true });
        }
      }),
      runs(150),
    );
  });
});
