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
