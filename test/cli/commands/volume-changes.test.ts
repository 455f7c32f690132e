import { describe, expect, test } from 'vitest';
import type { UpOptions } from '../../../engine/model/types.ts';
import { type FakeContext, fakeContext, fakeProject, run } from '../support/fake-context.ts';
import { NOW } from '../support/fake-engine.ts';

const LABELS = { 'com.docker.compose.project': 'shop', tier: 'old' };

const contextWith = (labels: Record<string, string> | undefined, stack = 'shop'): FakeContext => {
  const volume = { name: 'shop_data', ...(labels === undefined ? {} : { labels }) };
  const context = fakeContext({ project: { ...fakeProject(), volumes: { data: volume } } });
  context.fake.volumes = [{ name: 'shop_data', stack, path: '/v', labels: LABELS, createdAt: NOW, users: [] }];
  return context;
};

describe('a volume whose size changed', () => {
  const upWith = async (sizeMib: number | undefined, size: string, { flags = '', tier = 'old' } = {}) => {
    const labels = { tier };
    const context = fakeContext({
      project: { ...fakeProject(), volumes: { data: { name: 'shop_data', labels, driver_opts: { size } } } },
    });
    const found = { name: 'shop_data', stack: 'shop', path: '/v', labels: LABELS, createdAt: NOW, users: [] };
    context.fake.volumes = [{ ...found, ...(sizeMib === undefined ? {} : { sizeMib }) }];
    expect(await run(context, `up -d ${flags}`)).toBe(0);
    return context;
  };

  test.each([
    ['shrank', 2048, 'It has 2048 MiB, and the size of a volume cannot be changed. It is kept; hypr down, hypr volume rm shop_data and '],
    ['grew', 512, 'It has 512 MiB, and the size of a volume cannot be changed. It is kept; hypr down, hypr volume rm shop_data and '],
    ['is that of a folder', undefined, 'It is a folder, which can have no size. It is kept; drop its size from the file.'],
  ])('and %s is kept with the reason, with --yes as well', async (_, sizeMib, text) => {
    for (const flags of ['', '-y']) {
      const context = await upWith(sizeMib, '1g', { flags });
      expect(context.stderr.text).toContain(`doesn't match configuration in compose file. ${text}`);
      expect(context.fake.call('up')?.args[1]).not.toHaveProperty('recreateVolumes');
    }
  });

  test.each([
    ['is recreated by --yes', 2048, ['shop_data']],
    ['is kept where it is a folder, which could not be made again with a size', undefined, undefined],
  ])('and its labels as well %s', async (_, sizeMib, chosen) => {
    const options = (await upWith(sizeMib, '1g', { flags: '-y', tier: 'new' })).fake.call('up')?.args[1] as UpOptions | undefined;
    expect(options?.recreateVolumes).toEqual(chosen);
  });

  test('and is the same needs no question', async () => {
    const context = await upWith(1024, '1g', { flags: '-y' });
    expect(context.fake.call('up')?.args[1]).not.toHaveProperty('recreateVolumes');
    expect(context.stderr.text).not.toContain('warning');
  });
});

describe('a volume whose labels changed', () => {
  test.each([
    ['changed', { tier: 'new' }, 'shop', ['shop_data']],
    ['left out', undefined, 'shop', ['shop_data']],
    ['as before', { tier: 'old' }, 'shop', undefined],
    ["another stack's", { tier: 'new' }, 'blog', undefined],
  ] as const)('%s: with --yes', async (_, labels, stack, expected) => {
    const context = contextWith(labels, stack);
    expect(await run(context, 'up -d -y')).toBe(0);
    const options = context.fake.call('up')?.args[1] as UpOptions | undefined;
    expect(options?.recreateVolumes).toEqual(expected);
  });

  test('is kept, with a warning, where nobody can be asked', async () => {
    const context = contextWith({ tier: 'new' });
    expect(await run(context, 'up -d')).toBe(0);
    expect(context.fake.call('up')?.args[1]).not.toHaveProperty('recreateVolumes');
    expect(context.stderr.text).toContain(
      'warning: Volume "shop_data" exists but doesn\'t match configuration in compose file. It is kept; hypr up --yes recreates it',
    );
  });
});
