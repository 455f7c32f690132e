import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Image } from '../../../builder/model/types.ts';
import { show, thrown, Workshop } from './workshop.ts';

describe('service: contexts', () => {
  let shop: Workshop;
  let image: Image;
  beforeEach(async () => {
    shop = new Workshop();
    image = await shop.image('made', { word: 'one' }, { Env: ['A=base'], OnBuild: ['COPY word /by-trigger'] });
  });
  afterEach(() => shop.close());
  const request = (made: Partial<Image> = {}) => ({
    additionalContexts: { Base: 'service:low' },
    serviceImages: { low: { ...image, ...made } },
    pull: true,
  });

  it('are images in FROM, COPY --from and RUN --mount, with config and triggers, and no registry is asked', async () => {
    shop.file('word', 'of the context');
    const file = 'FROM base AS one\nCOPY --from=base /word /copied\n';
    const { tree, blob } = await shop.build(file, request());
    expect(await show(tree)).toMatchObject({ word: 'one', copied: 'one', 'by-trigger': 'of the context' });
    expect(blob.config).toMatchObject({ Env: ['A=base'] });
    expect(shop.resolved).toEqual([]);
    expect(shop.steps()).toContain('[context Base] load from service:low: done');
    shop.machines.program = () => ({ files: { made: 'made' } });
    await shop.build(`${file}RUN --mount=from=base,target=/m,source=/word cat /m\n`, request());
    expect(shop.machines.started).toHaveLength(1);
    await shop.build(`${file}RUN --mount=from=base,target=/m,source=/word cat /m\n`, request());
    expect(shop.machines.started).toHaveLength(1);
  });

  it('of another platform are refused; without the image, so are all', async () => {
    const other = process.arch === 'arm64' ? 'linux/amd64' : 'linux/arm64';
    expect(await thrown(shop.build('FROM base\n', request({ platform: other })))).toMatchObject({
      code: 'IMAGE_PLATFORM',
      hint: `it is for ${other}: give both services the same platform`,
    });
    expect(await thrown(shop.build('FROM base\n', { additionalContexts: { base: 'service:low' } }))).toMatchObject({
      code: 'HYPR_UNSUPPORTED',
    });
  });

  it('are named in an attestation by the name of the context', async () => {
    shop.file('word', 'of the context');
    await shop.run('FROM base\n', { ...request(), folder: shop.folder, outputs: ['type=oci,dest=a.tar'], provenance: 'mode=min' });
    expect(readFileSync(join(shop.folder, 'a.tar'), 'latin1')).toContain(`pkg:oci/base@${encodeURIComponent(image.manifestDigest)}`);
  });
});
