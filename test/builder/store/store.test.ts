import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { lstat, mkdir, readdir, readFile, readlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { openImages } from '../../../builder/images.ts';
import type { RootDisk } from '../../../builder/model/types.ts';
import { type ImageStore, openImageStore } from '../../../builder/store/store.ts';
import type { Tool } from '../../../vmm/model/tools.ts';
import { needs } from '../../support/needs.ts';
import { randomNumbers, SEED, times } from '../../support/seed.ts';

import { dir, file, inPieces, type RawEntry, rawTar, sha256 } from '../layers/tar-builder.ts';
import { fsckErofs, mkfsErofs, noMkfs } from './find-mkfs.ts';

let home: string;
let store: ImageStore;
let users: string[] = [];
const toolchain = { mkfsErofs: mkfsErofs as Tool };

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'hypr-store-'));
  users = [];
  if (mkfsErofs !== undefined) {
    store = await openImageStore({ root: join(home, 'images'), toolchain, inUse: () => users });
  }
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** A layer with folders two deep; each path is a folder, an opaque folder, a file, a whiteout or not there. */
const randomLayer = (random: () => number): RawEntry[] => {
  const within = (folder: string, depth: number): RawEntry[] =>
    ['a', 'b'].flatMap((name) => {
      const path = folder === '' ? name : `${folder}/${name}`;
      const kind = random();
      if (kind < 0.3) {
        return [];
      }
      if (kind < 0.45) {
        return [file(`${folder === '' ? '' : `${folder}/`}.wh.${name}`, '')];
      }
      if (kind < 0.6 || depth === 3) {
        return [file(path, 'x')];
      }
      return [dir(`${path}/`), ...(kind < 0.75 ? [file(`${path}/.wh..wh..opq`, '')] : []), ...within(path, depth + 1)];
    });
  return [dir('top/'), ...within('top', 1)];
};

type Tree = Map<string, 'dir' | 'file'>;

const removeBelow = (tree: Tree, path: string): void => {
  for (const each of [...tree.keys()].filter((key) => key.startsWith(`${path}/`))) {
    tree.delete(each);
  }
};

/** What is there after the layers are unpacked one over the other (OCI image-spec, layer.md): first what a layer hides goes. */
const applyLayers = (layers: ReadonlyArray<readonly RawEntry[]>): string[] => {
  const tree: Tree = new Map();
  const isMark = (path: string) => path.slice(path.lastIndexOf('/') + 1).startsWith('.wh.');
  for (const layer of layers) {
    const paths = layer.map(({ name, type }) => ({ path: String(name).replace(/\/$/, ''), isDir: type === '5' }));
    for (const { path } of paths.filter((each) => isMark(each.path))) {
      const hidden = path.endsWith('.wh..wh..opq') ? path.slice(0, path.lastIndexOf('/')) : path.replace('.wh.', '');
      removeBelow(tree, hidden);
      if (!path.endsWith('.wh..wh..opq')) {
        tree.delete(hidden);
      }
    }
    for (const { path, isDir } of paths.filter((each) => !isMark(each.path))) {
      if (!isDir) {
        removeBelow(tree, path);
      }
      tree.set(path, isDir ? 'dir' : 'file');
    }
  }
  return [...tree.keys()].sort();
};

const add = (entries: readonly RawEntry[]) => store.addLayer(inPieces(rawTar(entries)));
const image = async (layers: readonly string[], references: readonly string[], extra: object = {}) =>
  store.addImage({
    config: { os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: layers }, ...extra },
    references,
  });

/** What erofs-utils unpacks of the disk that the VMDK descriptor puts together: `mode content` by path. */
const unpack = async (disk: RootDisk): Promise<Record<string, string>> => {
  expect(disk.format).toBe('vmdk');
  const folder = join(disk.path, '..');
  const extents = [...(await readFile(disk.path, 'utf8')).matchAll(/^RW (\d+) FLAT "(.*)" 0$/gm)];
  const parts = await Promise.all(
    extents.map(async ([, sectors, name]) => {
      const data = (await readFile(join(folder, name ?? ''))).subarray(0, Number(sectors) * 512);
      expect(data.length).toBe(Number(sectors) * 512);
      return data;
    }),
  );
  const raw = join(home, 'disk.raw');
  writeFileSync(raw, Buffer.concat(parts));
  const out = join(home, `out-${Math.random()}`);
  const devices = extents.slice(1).map(([, , name]) => `--device=${join(folder, name ?? '')}`);
  const tool = fsckErofs as Tool;
  execFileSync(
    tool.file,
    [...tool.prefix, `--extract=${out}`, '--no-preserve-owner', '--preserve-perms', ...devices, join(folder, 'meta.erofs')],
    {
      stdio: 'pipe',
    },
  );
  const found: Record<string, string> = {};
  await walk(out, '', found);
  return found;
};

const walk = async (root: string, path: string, found: Record<string, string>): Promise<void> => {
  const info = await lstat(join(root, path));
  const mode = (info.mode & 0o7777).toString(8);
  if (info.isDirectory()) {
    found[path === '' ? '.' : path] = `${mode} dir`;
    for (const name of await readdir(join(root, path))) {
      await walk(root, path === '' ? name : `${path}/${name}`, found);
    }
  } else {
    found[path] = info.isSymbolicLink()
      ? `-> ${await readlink(join(root, path))}`
      : `${mode} ${(await readFile(join(root, path), 'utf8')).slice(0, 20)}`;
  }
};

needs(noMkfs).describe('layers and root disks', () => {
  test('two layers: whiteouts and opaque folders are applied, contents come from both', async () => {
    const a = await add([
      dir('etc/'),
      file('etc/x'),
      file('etc/y', 'y'),
      dir('d/', { mode: 0o1777 }),
      file('d/old'),
      { name: 'l', type: '2', link: 'd' },
    ]);
    const b = await add([dir('etc/'), file('etc/.wh.x', ''), dir('d/'), file('d/.wh..wh..opq', ''), file('d/new', 'n'.repeat(5000))]);
    expect(await unpack(await store.rootDisk([a.diffId, b.diffId]))).toEqual({
      '.': '755 dir',
      d: '755 dir',
      'd/new': `644 ${'n'.repeat(20)}`,
      etc: '755 dir',
      'etc/y': '644 y',
      l: '-> d',
    });
  });
  test('layers in any number hide what they say they hide', async () => {
    const random = randomNumbers(SEED);
    for (let run = 0; run < times(12); run += 1) {
      const layers = Array.from({ length: 2 + Math.floor(random() * 4) }, () => randomLayer(random));
      const added: string[] = [];
      for (const entries of layers) {
        added.push((await add(entries)).diffId);
      }
      const shown = Object.keys(await unpack(await store.rootDisk(added))).filter((path) => path !== '.');
      expect(shown.sort(), JSON.stringify(layers.map((layer) => layer.map(({ name }) => name)))).toEqual(applyLayers(layers));
    }
  });
  test('an opaque folder still hides what is below it when the layer on top has that folder, too', async () => {
    // The folder is on top because something deeper in it must be hidden by a whiteout there (found with seed 2117524182).
    const deep = [
      await add([dir('b/'), dir('b/a/'), file('b/a/old', ''), dir('b/b/'), file('b/b/old', '')]),
      await add([dir('b/'), file('b/.wh.b', '')]),
      await add([dir('b/'), file('b/.wh..wh..opq', ''), dir('b/a/'), dir('b/b/'), file('b/b/new', '')]),
    ].map(({ diffId }) => diffId);
    expect(Object.keys(await unpack(await store.rootDisk(deep))).sort()).toEqual(['.', 'b', 'b/a', 'b/b', 'b/b/new']);
    // The folder is on top because the upper layer has no entry for it and it keeps the mode of the lower one.
    const implied = [
      await add([dir('tmp/', { mode: 0o1777 }), file('tmp/old', '')]),
      await add([file('tmp/.wh..wh..opq', ''), file('tmp/new', 'n')]),
    ].map(({ diffId }) => diffId);
    expect(await unpack(await store.rootDisk(implied))).toEqual({ '.': '755 dir', tmp: '1777 dir', 'tmp/new': '644 n' });
  });
  test('nothing of a layer or a disk is open to others, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      const a = await add([file('a/b', 'x')]);
      await store.rootDisk([a.diffId]);
    } finally {
      process.umask(umask);
    }
    expect(execFileSync('find', [store.root, '-perm', '/077'], { encoding: 'utf8' })).toBe('');
  });

  test('one layer, and none', async () => {
    const a = await add([file('a/b', 'x')]);
    expect(await unpack(await store.rootDisk([a.diffId]))).toEqual({ '.': '755 dir', a: '755 dir', 'a/b': '644 x' });
    expect(await unpack(await store.rootDisk([]))).toEqual({ '.': '755 dir' });
  });
  test('an opaque root hides all below it', async () => {
    const a = await add([file('a')]);
    const b = await add([file('.wh..wh..opq', ''), file('b', 'x')]);
    expect(Object.keys(await unpack(await store.rootDisk([a.diffId, b.diffId])))).toEqual(['.', 'b']);
  });
  test('a folder that a layer only implies keeps the attributes it has below', async () => {
    const a = await add([dir('tmp/', { mode: 0o1777 }), dir('srv/', { mode: 0o700 }), dir('gone/', { mode: 0o700 }), file('srv/old', 'o')]);
    const b = await add([file('.wh.gone', '')]);
    const c = await add([file('tmp/x', '1'), file('srv/sub/y', '2'), file('gone/z', '3')]);
    expect(await unpack(await store.rootDisk([a.diffId, b.diffId, c.diffId]))).toEqual({
      '.': '755 dir',
      tmp: '1777 dir',
      'tmp/x': '644 1',
      srv: '700 dir',
      'srv/old': '644 o',
      'srv/sub': '755 dir',
      'srv/sub/y': '644 2',
      gone: '755 dir',
      'gone/z': '644 3',
    });
  });
  test('the traps of tars, through mkfs.erofs', async () => {
    const { diffId } = await add([
      { name: 'b', type: '1', link: 'a' },
      file('a', 'one'),
      file('a', 'two'),
      { name: 'lib', type: '2', link: 'usr/lib' },
      file('usr/lib/.keep', ''),
      file('lib/x', '1'),
      file('sp', 'AB', {
        pax: [
          ['GNU.sparse.size', '6'],
          ['GNU.sparse.map', '0,1,5,1'],
        ],
      }),
      file('old', 'o', { type: '\0', magic: '\0\0\0\0\0\0\0\0' }),
      file('libarchive', 'x', { pax: [['LIBARCHIVE.xattr.user.x', 'AA==']] }),
      file('past', 'x', { pax: [['mtime', '-3']] }),
      file('.wh..wh.plnk', ''),
    ]);
    expect(await unpack(await store.rootDisk([diffId]))).toEqual({
      '.': '755 dir',
      a: '644 two',
      b: '644 two',
      lib: '-> usr/lib',
      usr: '755 dir',
      'usr/lib': '755 dir',
      'usr/lib/.keep': '644 ',
      'usr/lib/x': '644 1',
      sp: '644 A\0\0\0\0B',
      old: '644 o',
      libarchive: '644 x',
      past: '644 x',
    });
  });
  test('the disk is made once, and moves with its folder', async () => {
    const a = await add([file('a')]);
    const disk = await store.rootDisk([a.diffId]);
    const { ino } = await lstat(disk.path);
    expect((await lstat((await store.rootDisk([a.diffId])).path)).ino).toBe(ino);
    expect(await readFile(disk.path, 'utf8')).not.toContain(home);
  });
  test('two at once that add the same layer, known or unknown beforehand', async () => {
    const tar = rawTar([file('a', 'x'.repeat(100_000))]);
    const results = await Promise.all([
      store.addLayer(inPieces(tar)),
      store.addLayer(inPieces(tar)),
      store.addLayer(inPieces(tar), { expectedDiffId: sha256(tar) }),
      store.ensureLayer(sha256(tar), async () => inPieces(tar)),
    ]);
    expect(new Set(results.map(({ diffId }) => diffId))).toEqual(new Set([sha256(tar)]));
    expect(await readdir(join(home, 'images', 'layers'))).toHaveLength(1);
    expect(await readdir(join(home, 'images', 'tmp'))).toEqual([]);
  });
  test('a layer that is refused leaves nothing', async () => {
    await expect(add([file('a'), file('a/b')])).rejects.toMatchObject({ code: 'IMAGE_LAYER' });
    expect(await readdir(join(home, 'images', 'tmp'))).toEqual([]);
  });
});

needs(noMkfs).describe('images', () => {
  test('are found by reference, id and prefix', async () => {
    const a = await add([file('a')]);
    const one = await image([a.diffId], ['shop-web', 'ghcr.io/x/y:1']);
    for (const name of ['shop-web', 'docker.io/library/shop-web:latest', 'ghcr.io/x/y:1', one.id, one.id.slice(7, 19)]) {
      expect((await store.get(name))?.id).toBe(one.id);
    }
    expect(await store.get('shop-web:2')).toBeUndefined();
    await expect(store.need('shop-web:2')).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND', hint: 'there is shop-web:latest' });
    expect(one.references).toEqual(['docker.io/library/shop-web:latest', 'ghcr.io/x/y:1']);
  });
  test('a tag moves; what has no name left stays until removed by id', async () => {
    const a = await add([file('a')]);
    const one = await image([a.diffId], ['x']);
    const two = await image([a.diffId], ['x'], { created: '2024-01-01T00:00:00Z' });
    expect((await store.get(one.id))?.references).toEqual([]);
    await store.tag(two.id.slice(7, 20), 'y:2');
    expect((await store.get('y:2'))?.id).toBe(two.id);
    expect((await store.list()).map(({ id }) => id)).toEqual([two.id, one.id]);
  });
  test('the digest of the Dockerfile is kept with the name that a build gave, and with no other', async () => {
    const a = await add([file('a')]);
    const config = JSON.parse((await store.readConfig((await image([a.diffId], ['old'])).id)).toString('utf8')) as object;
    await store.addImage({ config, references: ['built:1'], dockerfile: 'sha256:d' });
    await store.tag('built:1', 'tagged:1');
    expect(await Promise.all(['built:1', 'built', 'tagged:1', 'old', 'nothing'].map((name) => store.dockerfileOf(name)))).toEqual([
      'sha256:d',
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    await store.tag('old', 'built:1');
    expect(await store.dockerfileOf('built:1')).toBeUndefined();
  });
  test('removing: a name of several, the last one, one in use', async () => {
    const a = await add([file('a')]);
    const one = await image([a.diffId], ['x', 'y']);
    await expect(store.remove(one.id, { force: false })).rejects.toMatchObject({ code: 'IMAGE_IN_USE' });
    expect(await store.remove('x', { force: false })).toEqual(['Untagged: x:latest']);
    users = ['service web of stack shop'];
    await expect(store.remove('y', { force: false })).rejects.toMatchObject({ message: 'image y is used by service web of stack shop' });
    // By force its names go; its layers stay for those who use it.
    expect(await store.remove('y', { force: true })).toEqual(['Untagged: y:latest']);
    expect(await unpack(await store.rootDisk([a.diffId]))).toMatchObject({ a: '644 a' });
    users = [];
    expect(await store.remove(one.id, { force: false })).toEqual([`Deleted: ${one.id}`]);
    expect(await readdir(join(home, 'images', 'layers'))).toEqual([]);
    expect(await readdir(join(home, 'images', 'blobs'))).toEqual([]);
  });
  test('gc keeps what an image, a lease or the build cache needs', async () => {
    const a = await add([file('a')]);
    const b = await add([file('b')]);
    await image([a.diffId], ['x']);
    const lease = await store.lease();
    await store.hasLayer(b.diffId);
    expect((await store.gc()).layers).toEqual([]);
    await lease.release();
    const keeping = await openImageStore({ root: store.root, toolchain, keepLayers: () => [b.diffId] });
    expect((await keeping.gc()).layers).toEqual([]);
    expect((await store.gc()).layers).toEqual([b.diffId]);
    expect(await store.hasLayer(a.diffId)).toBeDefined();
  });
  test('prune: nameless images, or all that nothing uses; never while a pull or build is at work', async () => {
    const [a, b, c] = [await add([file('a')]), await add([file('b')]), await add([file('c')])];
    const nameless = await image([a.diffId], ['x'], { author: 'old' });
    const named = await image([b.diffId], ['x'], { author: 'new' });
    const usedOne = await image([c.diffId], ['used']);
    const careful = await openImageStore({ root: store.root, toolchain, inUse: (id) => (id === usedOne.id ? ['web'] : []) });
    const lease = await store.lease();
    await expect(careful.prune('all')).rejects.toMatchObject({ code: 'IMAGE_IN_USE' });
    await lease.release();
    expect((await careful.prune('none')).removed).toEqual([]);
    expect(await careful.prune('dangling')).toEqual({ removed: [`deleted: ${nameless.id}`], bytes: a.size });
    expect(await careful.usage()).toMatchObject({ images: 2, usedImages: 1, otherLayers: 0 });
    expect((await careful.prune('all')).removed).toEqual(['untagged: x:latest', `deleted: ${named.id}`]);
    expect((await careful.list()).map(({ id }) => id)).toEqual([usedOne.id]);
    expect(await careful.verify()).toEqual([]);
  });
  test('what a killed process left half-made is cleared at the next opening', async () => {
    await mkdir(join(store.root, 'tmp', 'layer-999999999-1-abcdef'));
    await openImageStore({ root: store.root, toolchain });
    expect(await readdir(join(store.root, 'tmp'))).toEqual([]);
  });
  test('verify finds a changed byte', async () => {
    const a = await add([file('a', 'content')]);
    await image([a.diffId], ['x']);
    expect(await store.verify()).toEqual([]);
    const tar = await readFile(store.layerTar(a.diffId));
    tar.write('C', 512);
    writeFileSync(store.layerTar(a.diffId), tar);
    expect((await store.verify())[0]).toMatchObject({ kind: 'layer', name: a.diffId });
  });
  test('an image whose layers are not there is refused', async () => {
    await expect(image([sha256(Buffer.from('none'))], ['x'])).rejects.toMatchObject({ code: 'IMAGE_CORRUPT' });
  });
});

needs(noMkfs).describe('archives', () => {
  test.each(['docker', 'oci'] as const)('saved as %s and loaded elsewhere, plain and gzipped: same id, same layers', async (format) => {
    const images = await openImages({ paths: homePaths(home), toolchain });
    const a = await add([file('a', 'one'), file('a', 'two')]);
    const b = await add([dir('d/'), file('d/.wh.x', '')]);
    const one = await image([a.diffId, b.diffId], ['shop/web:1', 'shop/web:2']);
    const path = join(home, 'archive.tar');
    await images.save(['shop/web:1', 'shop/web:2'], path, { format });
    writeFileSync(`${path}.gz`, gzipSync(await readFile(path)));
    for (const [index, archive] of [path, `${path}.gz`].entries()) {
      const other = await openImages({ paths: homePaths(join(home, `other${index}`)), toolchain });
      const names = await other.load(archive, () => {});
      expect(names.map((name) => name.replace('docker.io/', ''))).toEqual(['shop/web:1', 'shop/web:2']);
      expect(await other.inspect('shop/web:2')).toEqual({ ...one, manifestDigest: expect.any(String) });
      expect(await other.store.verify()).toEqual([]);
    }
    expect(execFileSync('tar', ['-tf', path]).toString().includes('manifest.json')).toBe(format === 'docker');
  });
  test('an old docker archive: layers by name, one of them a link', async () => {
    const layer = rawTar([file('a', 'x')]);
    const config = JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      rootfs: { type: 'layers', diff_ids: [sha256(layer), sha256(layer)] },
    });
    const list = JSON.stringify([{ Config: 'c.json', RepoTags: ['old:1'], Layers: ['1/layer.tar', '2/layer.tar'] }]);
    const path = join(home, 'old.tar');
    writeFileSync(
      path,
      rawTar([
        file('c.json', config),
        file('1/layer.tar', layer.toString('latin1')),
        { name: '2/layer.tar', type: '2', link: '../1/layer.tar' },
        file('manifest.json', list),
      ]),
    );
    const images = await openImages({ paths: homePaths(home), toolchain });
    expect(await images.load(path, () => {})).toEqual(['old:1']);
    expect((await images.inspect('old:1')).layers).toHaveLength(2);
  });
  test('what is no archive is refused', async () => {
    const images = await openImages({ paths: homePaths(home), toolchain });
    writeFileSync(join(home, 'x'), rawTar([file('a')]));
    await expect(images.load(join(home, 'x'), () => {})).rejects.toMatchObject({ code: 'IMAGE_CORRUPT' });
    await expect(images.load(join(home, 'missing'), () => {})).rejects.toMatchObject({ code: 'HYPR_USAGE' });
  });
});
