import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { damageOf } from '../../../builder/store/damage.ts';
import { type ImageStore, openImageStore } from '../../../builder/store/store.ts';
import type { Tool } from '../../../vmm/model/tools.ts';
import { needs } from '../../support/needs.ts';
import { randomNumbers, SEED, times } from '../../support/seed.ts';
import { dir, file, inPieces, rawTar, sha256 } from '../layers/tar-builder.ts';
import { mkfsErofs, noMkfs } from './find-mkfs.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hypr-damage-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const open = (root: string): Promise<ImageStore> => openImageStore({ root, toolchain: { mkfsErofs: mkfsErofs as Tool } });

// The second is not in normal form: a file before its folder, twice, and a name that needs a header of its own.
const LAYERS = [
  rawTar([dir('etc/'), file('etc/passwd', 'root:x:0:0\n'), file('etc/.wh.gone', '')]),
  rawTar([file('srv/b', 'one'), file('srv/b', 'two'), dir('srv/'), file(`srv/${'long'.repeat(40)}`, 'z')]),
];

/** A store with an image of two layers, whose disk was made. */
const fill = async (root: string): Promise<string> => {
  const store = await open(root);
  for (const tar of LAYERS) {
    await store.addLayer(inPieces(tar, 700));
  }
  const config = { os: 'linux', architecture: 'amd64', config: { Env: ['A=1'] }, rootfs: { type: 'layers', diff_ids: LAYERS.map(sha256) } };
  const { id } = await store.addImage({ config, references: ['app:1', 'app:2'] });
  await store.rootDisk(id);
  return id;
};

const filesOf = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => relative(root, join(each.parentPath, each.name)))
    .filter((path) => statSync(join(root, path)).size > 0 && path !== 'format.json')
    .sort();

const collect = async (parts: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> => {
  const all: Uint8Array[] = [];
  for await (const part of parts) {
    all.push(part);
  }
  return all;
};

/** Everything that a user gets from a store, in one value. */
const readAll = async (root: string, id: string): Promise<unknown> => {
  const store = await open(root);
  const images = await store.list();
  const blobs = [await store.readConfig(id), await store.readManifest(id)].map(String);
  const layers = await Promise.all(LAYERS.map(async (tar) => Buffer.concat(await collect(store.originalLayer(sha256(tar)))).toString()));
  return [images, blobs, layers, (await store.rootDisk(id)).format];
};

needs(noMkfs).describe('a damaged image store', () => {
  it('is reported and mended, whichever byte of it has changed', async () => {
    const good = join(home, 'good');
    const id = await fill(good);
    const before = await readAll(good, id);
    const files = filesOf(good);
    const random = randomNumbers(SEED);
    for (let run = 0; run < times(12); run += 1) {
      const root = join(home, `bad-${run}`);
      cpSync(good, root, { recursive: true });
      const path = files[Math.floor(random() * files.length)] as string;
      const bytes = readFileSync(join(root, path));
      const [at, bits] = [Math.floor(random() * bytes.length), 1 + Math.floor(random() * 255)];
      bytes.writeUInt8(bytes.readUInt8(at) ^ bits, at);
      writeFileSync(join(root, path), bytes);
      const where = `byte ${at} of ${path} by ${bits}`;

      const faults = await (await open(root)).verify();
      const read = await readAll(root, id).catch((error: unknown) => error);
      expect(read instanceof Error ? read instanceof HyprError : true, `${where}: ${String(read)}`).toBe(true);
      if (faults.length === 0) {
        expect(read, where).toEqual(before);
      }
      await (await open(root)).repair();
      expect(await (await open(root)).verify(), where).toEqual([]);
      // What could not be mended is gone, and can be had again.
      expect(await fill(root)).toBe(id);
      expect(await readAll(root, id), where).toEqual(before);
      rmSync(root, { recursive: true });
    }
  }, 180_000);

  it('makes a layer again from what is whole, and removes one that is lost with its image', async () => {
    const root = join(home, 'images');
    const id = await fill(root);
    const store = await open(root);
    const [first, second] = LAYERS.map((tar) => sha256(tar)) as [string, string];
    writeFileSync(join(root, 'layers', first.slice(7), 'index.erofs'), 'x');
    rmSync(join(root, 'layers', first.slice(7), 'layer.json'));
    const { repaired, removed } = await store.repair();
    expect([repaired, removed]).toEqual([[`layer ${first}`], []]);
    expect((await store.need('app:1')).id).toBe(id);

    writeFileSync(join(root, 'layers', second.slice(7), 'layer.tar'), 'x');
    const lost = await store.repair();
    expect([...lost.removed].sort()).toEqual([`image ${id}`, `layer ${second}`, 'name app:1', 'name app:2']);
    expect([await store.list(), await store.verify(), readdirSync(join(root, 'layers'))]).toEqual([[], [], []]);
  });

  it('makes the record of an image again from its config', async () => {
    const root = join(home, 'images');
    const id = await fill(root);
    const store = await open(root);
    const before = await store.need('app:1');
    writeFileSync(join(root, 'images', `${id.slice(7)}.json`), '{"id": 7}');
    expect(await store.verify()).toEqual([expect.objectContaining({ kind: 'image', name: id })]);
    expect(await store.repair()).toEqual({ repaired: [`image ${id}`], removed: [] });
    expect(await store.need('app:1')).toEqual(before);
  });

  it('keeps what it could not look at: a full disk or a tool that fails is no damage', async () => {
    const root = join(home, 'images');
    const id = await fill(root);
    writeFileSync(join(root, 'layers', sha256(LAYERS[0] as Buffer).slice(7), 'index.erofs'), 'x');
    const broken = await openImageStore({ root, toolchain: { mkfsErofs: { ...(mkfsErofs as Tool), file: '/bin/false', prefix: [] } } });
    await expect(broken.repair()).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
    expect((await (await open(root)).need('app:1')).id).toBe(id);
    expect(() => damageOf(new HyprError('HYPR_DISK_FULL', 'full'))).toThrow('full');
    expect(() => damageOf(Object.assign(new Error('io'), { code: 'EIO' }))).toThrow('io');
  });
});
