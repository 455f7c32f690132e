import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ociDigest } from '../../../builder/store/format/digest.ts';
import { type ImageStore, openImageStore } from '../../../builder/store/store.ts';
import { needs } from '../../support/needs.ts';
import { mkfsErofs, noMkfs } from '../store/find-mkfs.ts';
import { show, Workshop } from './workshop.ts';

needs(noMkfs).describe('with the image store', () => {
  let shop: Workshop;
  let store: ImageStore;
  beforeEach(async () => {
    shop = new Workshop();
    if (mkfsErofs !== undefined) {
      store = await openImageStore({ root: join(shop.folder, 'images'), toolchain: { mkfsErofs } });
      shop.replaceStore(store);
    }
  });
  afterEach(() => shop.close());

  it('every layer is taken, found again and mounted as one disk', async () => {
    shop.file('a/b', 'one');
    shop.file('sub/c', 'two', 0o755);
    shop.link('sub/l', 'c');
    shop.machines.program = ({ args }) => ({ files: { 'run/hypr/x': '', [`out/${args.at(-1)}`]: 'made' } });
    const file =
      'FROM scratch AS base\nCOPY . /app/\nWORKDIR /w\nRUN make\nFROM scratch\nCOPY --from=base /app/sub /app/a /s/\nCOPY --from=base --chown=5:6 /out/make /s/x/\nCMD ["x"]\n';
    const first = await shop.build(file, { tags: ['shop:1', 'shop:2'] });
    expect(await show(first.tree)).toEqual({ 's/b': 'one', 's/c': 'two', 's/l': '@c', 's/x/make': 'made' });
    const image = await store.need('shop:2');
    expect(image).toMatchObject({ id: first.imageId, config: { Cmd: ['x'] }, layers: first.blob.rootfs.diff_ids });
    expect((await store.rootDisk(image.id)).format).toBe('vmdk');
    expect(await store.verify()).toEqual([]);
    expect(await store.dockerfileOf('shop:2')).toBe(ociDigest(file));

    const again = await shop.build(file);
    expect(again.manifestDigest).toBe(first.manifestDigest);
    expect(shop.steps().filter((step) => /^\[(base|stage-1)/.test(step) && !step.endsWith('cached'))).toEqual([]);
    expect(shop.machines.started).toHaveLength(1);

    const child = await shop.build('FROM shop:1\nRUN more\n');
    expect(child.blob.history).toHaveLength((first.blob.history?.length ?? 0) + 1);
    expect(await show(child.tree, 'out')).toEqual({ 'out/more': 'made' });
  });
});
