import nodeConsole from 'node:console';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createPaint } from '../../../cli/core/style.ts';
import { drawObjects } from '../../../cli/dashboard/objects/draw-objects.ts';
import { createKeyTable } from '../../../cli/dashboard/state/key-table.ts';
import type { Image, NetworkDetail, ReplicaDetail } from '../../../engine/model/types.ts';
import { type FakeContext, fakeContext, run } from '../support/fake-context.ts';
import { replica } from '../support/fake-engine.ts';

const look = { paint: createPaint(false), color: false, unicode: true, columns: 76, rows: 9 };

test('the screen of volumes, networks and images › size, stack and users of each, and what keys do', () => {
  const volumes = [
    { ids: ['shop_data'], name: 'shop_data', stack: 'shop', detail: '41.2MB', users: ['shop-db-1'] },
    { ids: ['old_data'], name: 'old_data', stack: 'old', detail: '1.1MB', users: [] },
  ];
  const state = { kind: 'volumes', rows: { volumes, networks: [], images: [] }, cursor: 1, question: undefined, message: '' } as const;
  expect(drawObjects(state, look, createKeyTable({ 'keys.remove': 'ctrl+d' })).map((line) => line.trimEnd())).toEqual([
    ' [volumes 2]  networks 0   images 0',
    '   NAME       STACK  SIZE    USED BY',
    '   shop_data  shop   41.2MB  shop-db-1',
    ' › old_data   old    1.1MB   nothing',
    '',
    '',
    '',
    ' Enter next list · ^D remove · X remove all unused · Esc back',
  ]);
  const asked = drawObjects({ ...state, question: 'Remove volume old_data?' }, { ...look, columns: 30 }, createKeyTable());
  expect(asked.every((line) => line.length <= 30)).toBe(true);
});

describe('in hypr alone and in the dashboard', () => {
  // Ink patches the console, and vitest's own cannot be patched.
  beforeAll(() => {
    vi.stubGlobal('console', nodeConsole);
  });
  afterAll(() => {
    vi.unstubAllGlobals();
  });

  const open = (): FakeContext => {
    const context = fakeContext();
    for (const stream of [context.stdin, context.stdout, context.stderr]) {
      stream.isTTY = true;
    }
    const { fake } = context;
    const status = replica({ service: 'web' });
    fake.replicas = [status];
    fake.machines = [{ stack: 'shop', status } as ReplicaDetail];
    fake.volumes = [
      { name: 'shop_data', stack: 'shop', path: '/', labels: {}, createdAt: 0, users: ['shop-web-1'] },
      { name: 'old_data', stack: '', path: '/nowhere', labels: {}, createdAt: 0, users: [] },
    ];
    fake.networks = [
      { id: 'a'.repeat(64), name: 'shop_default', stack: 'shop', subnet: '10.0.0.0/24', members: [{ name: 'shop-web-1' }] },
      { id: 'b'.repeat(64), name: 'mine', stack: '', subnet: '10.0.1.0/24', members: [] },
    ] as unknown as NetworkDetail[];
    fake.images = [
      { id: status.imageId, references: ['docker.io/library/web:1'], size: 5_000_000 },
      { id: 'sha256:1', references: ['docker.io/me/app:1', 'docker.io/me/app:2'], size: 7_000_000 },
    ] as unknown as Image[];
    return context;
  };
  /** What was drawn since the last key. */
  const press = async (context: FakeContext, key: string, text: string): Promise<void> => {
    const before = context.stdout.text.length;
    context.stdin.write(key);
    await expect.poll(() => context.stdout.text.slice(before)).toContain(text);
  };
  const called = (context: FakeContext, name: string) =>
    context.fake.calls.filter((call) => call.name === name).map((call) => call.args[0]);

  test('V shows them, D asks and removes what nothing uses, what is used stays, Esc comes back', async () => {
    const context = open();
    const done = run(context, '');
    await expect.poll(() => context.stdout.text).toContain('2 stacks');
    await press(context, 'V', 'shop-web-1');
    await press(context, 'D', 'shop_data stays: shop-web-1 uses it');
    await press(context, 'j', '› \u001b[1mold_data');
    await press(context, 'D', 'Remove volume old_data and the data in it?');
    await press(context, 'n', 'remove all unused');
    await press(context, 'X', 'volumes with a name stay');
    expect(called(context, 'removeVolume')).toEqual([]);
    await press(context, 'D', 'Remove volume');
    await press(context, 'y', 'old_data is removed');
    expect(called(context, 'removeVolume')).toEqual(['old_data']);
    await press(context, '\t', '10.0.0.0/24');
    await press(context, 'X', 'Remove 1 networks that nothing uses (mine)?');
    await press(context, 'y', '1 networks are removed');
    expect(called(context, 'removeNetwork')).toEqual(['mine']);
    await press(context, '\t', 'me/app:1, me/app:2');
    await press(context, 'X', 'Remove 1 images');
    await press(context, 'y', '1 images are removed');
    expect(called(context, 'remove')).toEqual([['docker.io/me/app:1', 'docker.io/me/app:2']]);
    await press(context, '\u001b', '2 stacks');
    context.stdin.write('q');
    expect(await done).toBe(0);
  }, 60_000);

  test('from the dashboard, too, which is there again afterwards', async () => {
    const context = open();
    const done = run(context, 'up');
    await expect.poll(() => context.stdin.rawModes.includes(true)).toBe(true);
    await press(context, 'V', 'old_data');
    await press(context, '\u001b', 'logs of all services');
    context.stdin.write('d');
    expect(await done).toBe(0);
  }, 60_000);
});
