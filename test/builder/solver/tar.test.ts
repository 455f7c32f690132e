import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PLAIN_FILE } from '../../../base/tar/header.ts';
import { readTar, StreamSource } from '../../../base/tar/reader.ts';
import { filterLayer } from '../../../builder/solver/layer/layer-filter.ts';
import { indexTar, LayerTree } from '../../../builder/solver/layer/layer-tree.ts';
import { type LayerItem, writeLayer } from '../../../builder/solver/layer/tar-write.ts';
import { runs } from '../../support/seed.ts';
import { collect, toItems } from './fake-machines.ts';
import { show } from './workshop.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-tar-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const indexOf = async (data: Uint8Array) => {
  const path = join(folder, 'one.tar');
  writeFileSync(path, data);
  return await indexTar(path);
};
const layer = async (...items: LayerItem[]) => {
  const path = join(folder, `${Math.random()}.tar`);
  writeFileSync(path, await collect(writeLayer(items)));
  return await indexTar(path);
};
async function* inPieces(data: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) {
    yield data.subarray(at, at + size);
  }
}

describe('a layer', () => {
  it.each([
    ['longer', 1, 5],
    ['longer by a block', 4, 600],
    ['longer, in one piece', 5, 5],
    ['shorter', 1, 3],
  ])('is refused when a content is %s than its header says', async (_how, piece, length) => {
    const content = Buffer.alloc(length, 'x');
    const tree = { get: () => undefined, list: () => [], read: () => inPieces(content, piece), digest: () => Promise.resolve('') };
    const attributes = { ...PLAIN_FILE, size: 4 };
    const entry = { ...attributes, path: 'f', type: 'file' as const, identity: {} };
    const parts: Uint8Array[] = [];
    const write = async (content: LayerItem['content'] & object) => {
      for await (const part of writeLayer([{ path: 'f', attributes, content }])) {
        parts.push(part);
      }
    };
    await expect(write({ tree, entry })).rejects.toMatchObject({ code: 'BUILD_FAILED' });
    await expect(write({ bytes: content })).rejects.toMatchObject({ code: 'BUILD_FAILED' });
    expect(parts).toEqual([]);
  });

  it('has the same bytes in every version: images would get other digests', async () => {
    const file = (path: string, bytes: Uint8Array, more: Partial<LayerItem['attributes']> = {}): LayerItem => ({
      path,
      attributes: { ...PLAIN_FILE, size: bytes.length, mtime: 1_700_000_000, ...more },
      content: { bytes },
    });
    const items: LayerItem[] = [
      { path: 'd', attributes: { ...PLAIN_FILE, type: 'dir', mode: 0o755 } },
      file('d/small', Buffer.from('small\n')),
      file('d/empty', Buffer.alloc(0), { mode: 0o4711 }),
      file('d/exact', Buffer.alloc(512, 'b')),
      file('d/large', Buffer.alloc(2_500_000, 'large'), { uid: 1000, gid: 0xffff_fffe }),
      file(`d/${'ä'.repeat(60)}`, Buffer.from('x')),
      file(`d/${'n'.repeat(97)}ä`, Buffer.from('x'), { mtime: 2 ** 34 }),
      file('d/caps', Buffer.from('x'), { xattrs: new Map([['security.capability', Buffer.from([1, 0, 255])]]) }),
      { ...file('d/same', Buffer.from('small\n')), hardlink: 'd/small' },
      { path: 'd/link', attributes: { ...PLAIN_FILE, type: 'symlink', link: `../${'l'.repeat(120)}` } },
      { path: 'd/null', attributes: { ...PLAIN_FILE, type: 'char', deviceMajor: 1, deviceMinor: 3 } },
    ];
    const bytes = await collect(writeLayer(items));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe('493aefb9a96bb8d75034cbc55cd7c1744be3a746556f163e64b67c15573c7a97');
  });
});

describe('headers', () => {
  it('come back as they were written, whatever they hold', async () => {
    const name = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 300 })
      .filter((text) => !/[\0/]/.test(text) && Buffer.from(text).toString() === text && !text.startsWith('.'));
    const number = fc.integer({ min: 0, max: 2 ** 32 - 2 });
    await fc.assert(
      fc.asyncProperty(
        name,
        number,
        number,
        fc.integer({ min: 0, max: 2 ** 40 }),
        fc.uint8Array({ maxLength: 2000 }),
        async (path, uid, gid, mtime, bytes) => {
          const xattrs = new Map([['user.x', Buffer.from(bytes)]]);
          const data = await collect(
            writeLayer([{ path, attributes: { ...PLAIN_FILE, uid, gid, mtime, size: bytes.length, xattrs }, content: { bytes } }]),
          );
          const found = [];
          for await (const { header } of readTar(new StreamSource(inPieces(data, 700)))) {
            found.push(header);
          }
          expect(found).toEqual([expect.objectContaining({ name: path, uid, gid, mtime, size: bytes.length, type: 'file' })]);
          expect(found[0]?.xattrs.get('user.x')).toEqual(Buffer.from(bytes));
        },
      ),
      runs(150),
    );
  });

  it('that are damaged are refused or read, never worse', async () => {
    const whole = await collect(writeLayer(toItems({ 'a/b': 'text', ['n'.repeat(200)]: 'more' })));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.uint8Array({ minLength: 1, maxLength: 12 }),
        fc.nat(whole.length),
        async (at, bytes, cut) => {
          const damaged = Buffer.from(whole);
          damaged.set(bytes.subarray(0, Math.min(bytes.length, damaged.length - at)), at);
          try {
            LayerTree.empty.withLayer(await indexOf(damaged.subarray(0, cut)));
          } catch (error) {
            expect(error).toMatchObject({ code: 'IMAGE_LAYER' });
          }
        },
      ),
      runs(400),
    );
  });
});

describe('a stack of layers', () => {
  const dir = (path: string): LayerItem => ({ path, attributes: { ...PLAIN_FILE, type: 'dir', mode: 0o755 } });
  const file = (path: string, text: string): LayerItem => ({
    path,
    attributes: { ...PLAIN_FILE, size: text.length },
    content: { bytes: Buffer.from(text) },
  });
  const below = () => layer(dir('d'), file('d/a', '1'), file('d/b', '2'), dir('e'), file('e/x', '3'), file('f', '4'));

  it('hides what whiteouts name, in both forms', async () => {
    const tree = LayerTree.empty.withLayer(await below());
    const oci = await layer(
      file('d/.wh.a', ''),
      dir('e'),
      file('e/.wh..wh..opq', ''),
      file('e/new', '5'),
      file('.wh.f', ''),
      file('.wh..wh.plnk', ''),
    );
    expect(await show(tree.withLayer(oci))).toEqual({ 'd/b': '2', 'e/new': '5' });
    const device: LayerItem = { path: 'd/a', attributes: { ...PLAIN_FILE, type: 'char' } };
    const opaque: LayerItem = {
      path: 'e',
      attributes: { ...PLAIN_FILE, type: 'dir', mode: 0o755, xattrs: new Map([['trusted.overlay.opaque', Buffer.from('y')]]) },
    };
    expect(await show(tree.withLayer(await layer(device, opaque, file('e/new', '5'))))).toEqual({ 'd/b': '2', 'e/new': '5', f: '4' });
    expect(await show(tree)).toEqual({ 'd/a': '1', 'd/b': '2', 'e/x': '3', f: '4' });
  });

  it('replaces files by folders and back, and refuses links to nothing', async () => {
    const tree = LayerTree.empty.withLayer(await below());
    expect(await show(tree.withLayer(await layer(file('d', 'now a file'), dir('f'), file('f/in', '6'))))).toEqual({
      d: 'now a file',
      'e/x': '3',
      'f/in': '6',
    });
    const broken = await layer({ path: 'x', hardlink: 'nope', attributes: PLAIN_FILE });
    expect(() => tree.withLayer(broken)).toThrow('which is not there');
  });
});

describe('the layer filter', () => {
  it('drops paths, deletions and empty stubs, and keeps the rest byte for byte', async () => {
    const items = [
      ...toItems({
        'a/keep': 'x',
        'a/mount/.wh.y': '',
        'a/mount/z/deep': 'y',
        'a/.wh.gone': '',
        'stub/only/mount/f': 'z',
        'stub2/mount/f': '',
        'stub2/stays': 'w',
      }),
    ];
    const data = await collect(
      filterLayer(inPieces(await collect(writeLayer(items)), 333), {
        drop: ['/a/mount', '/a/gone', '/stub/only/mount', '/stub2/mount'],
        dropIfEmpty: ['/stub/only', '/stub', '/stub2'],
      }),
    );
    expect((await indexOf(data)).items.map(({ path }) => path)).toEqual(['a', 'a/keep', 'stub2', 'stub2/stays']);
  });
});
