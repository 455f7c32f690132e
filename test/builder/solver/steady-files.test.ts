import { appendFileSync, existsSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ContextTree } from '../../../builder/context/context-tree.ts';
import { indexTar, LayerTree } from '../../../builder/solver/layer/layer-tree.ts';
import { show, thrown, Workshop } from './workshop.ts';

let shop: Workshop;
beforeEach(() => {
  shop = new Workshop();
});
afterEach(() => {
  vi.restoreAllMocks();
  shop.close();
});

const write = (name: string, text: string) => writeFileSync(join(shop.context, name), text);
const leftInStaging = () => {
  const folder = join(shop.folder, 'build', 'tmp');
  return existsSync(folder) ? readdirSync(folder) : [];
};

/** Calls `change` after each time that a file of the context was hashed, with how often that was. */
const afterHash = (change: (count: number) => void) => {
  const original = ContextTree.prototype.digest;
  let count = 0;
  vi.spyOn(ContextTree.prototype, 'digest').mockImplementation(async function (this: ContextTree, entry) {
    const digest = await original.call(this, entry);
    change(++count);
    return digest;
  });
};

const SIZES: Array<[string, number]> = [
  ['small', 9],
  ['large', 100_000],
];

describe('a file that changes after it was hashed', () => {
  it.each(SIZES)('is hashed again, so that the cache has what its key says (%s)', async (_name, size) => {
    const [good, evil] = ['G'.repeat(size), 'E'.repeat(size)];
    write('a.txt', good);
    afterHash((count) => count === 1 && write('a.txt', evil));
    expect(await show((await shop.build('FROM scratch\nCOPY . /\n')).tree)).toEqual({ 'a.txt': evil });
    vi.restoreAllMocks();
    write('a.txt', good);
    expect(await show((await shop.build('FROM scratch\nCOPY . /\n')).tree)).toEqual({ 'a.txt': good });
    write('a.txt', evil);
    await shop.build('FROM scratch\nCOPY . /\n');
    expect(shop.cached()).toHaveLength(1);
    expect(leftInStaging()).toEqual([]);
  });

  it.each(SIZES)('and does so again and again, is taken as it was at one time (%s)', async (_name, size) => {
    write('a.log', 'x'.repeat(size));
    write('b.log', 'y'.repeat(size));
    write('still', 'still');
    afterHash((count) => {
      appendFileSync(join(shop.context, 'a.log'), `${count}\n`);
      appendFileSync(join(shop.context, 'b.log'), `${count}\n`);
    });
    const shown = await show((await shop.build('FROM scratch\nCOPY . /\n')).tree);
    expect(shown.still).toBe('still');
    expect(shown['a.log']).toMatch(/^x+[\d\n]+$/);
    expect(shown['b.log']).toMatch(/^y+[\d\n]+$/);
    expect(leftInStaging()).toEqual([]);
  });

  it('is hashed again for what starts from a folder', async () => {
    write('a.txt', 'GOOD');
    afterHash((count) => count === 1 && write('a.txt', 'EVIL'));
    const { tree } = await shop.build('FROM src\n', { additionalContexts: { src: shop.context } });
    expect(await show(tree)).toEqual({ 'a.txt': 'EVIL' });
  });

  it('is hashed again for a RUN that mounts it, which runs once', async () => {
    await shop.busybox();
    write('a.txt', 'GOOD');
    afterHash((count) => count === 1 && write('a.txt', 'EVIL'));
    await shop.build('FROM busybox\nRUN --mount=type=bind,target=/src use\n');
    const staged = [...(shop.machines.started.at(-1)?.staged.values() ?? [])];
    expect(staged).toHaveLength(1);
    const file = join(shop.folder, 'staged.tar');
    writeFileSync(file, staged[0] ?? '');
    expect(await show(LayerTree.empty.withLayer(await indexTar(file)))).toEqual({ 'c/a.txt': 'EVIL' });
    vi.restoreAllMocks();
    write('a.txt', 'GOOD');
    await shop.build('FROM busybox\nRUN --mount=type=bind,target=/src use\n');
    expect(shop.cached().filter((name) => name.includes('RUN'))).toEqual([]);
  });

  it('fails the build when it is cut or gone each time it was found', async () => {
    write('a.txt', 'x'.repeat(100_000));
    const list = ContextTree.prototype.list;
    vi.spyOn(ContextTree.prototype, 'list').mockImplementation(function (this: ContextTree, path) {
      write('a.txt', 'x'.repeat(100_000));
      const names = list.call(this, path);
      truncateSync(join(shop.context, 'a.txt'), 5);
      return names;
    });
    const error = await thrown(shop.run('FROM scratch\nCOPY . /\n'));
    expect(error).toMatchObject({ code: 'BUILD_FAILED' });
    expect(error.message).toContain('changed while it was being read');
    expect(leftInStaging()).toEqual([]);
  });
});
