import { expect, test } from 'vitest';
import { readHistory } from '../../builder/history.ts';
import type { Image } from '../../builder/model/types.ts';

const SIZES: Readonly<Record<string, number>> = { 'sha256:a': 100, 'sha256:b': 20 };

const historyOf = (config: unknown) =>
  readHistory(
    {
      need: async () => ({ id: 'sha256:1', layers: Object.keys(SIZES) }) as unknown as Image,
      readConfig: async () => Buffer.from(JSON.stringify(config)),
      hasLayer: async (diffId) => ({ size: SIZES[diffId] ?? 0 }),
    },
    'app',
  );

test('steps with and without a layer, the last one first', async () => {
  const history = [
    { created: '2026-01-02T03:04:05Z', created_by: 'ADD rootfs.tar /' },
    { created_by: 'CMD ["sh"]', empty_layer: true },
    { created: 'yesterday', created_by: 'RUN make', comment: 'buildkit' },
  ];
  expect(await historyOf({ history })).toEqual({
    id: 'sha256:1',
    steps: [
      { created: undefined, createdBy: 'RUN make', comment: 'buildkit', size: 20 },
      { created: undefined, createdBy: 'CMD ["sh"]', comment: '', size: 0 },
      { created: Date.UTC(2026, 0, 2, 3, 4, 5), createdBy: 'ADD rootfs.tar /', comment: '', size: 100 },
    ],
  });
});

test.each([[{}], [{ history: 'none' }], [{ history: [] }]])('layers that nobody speaks of are there all the same: %j', async (config) => {
  const { steps } = await historyOf(config);
  expect(steps.map(({ size }) => size)).toEqual([20, 100]);
});

test('what is no text is no text', async () => {
  const { steps } = await historyOf({ history: [null, { created_by: 7, comment: {}, empty_layer: 'yes' }, 'x'] });
  expect(steps.map(({ createdBy, comment, size }) => [createdBy, comment, size])).toEqual([
    ['', '', 0],
    ['', '', 20],
    ['', '', 100],
  ]);
});
