import nodeConsole from 'node:console';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createPaint } from '../../../cli/core/style.ts';
import { drawStacks, stackRows } from '../../../cli/dashboard/stacks-view.ts';
import type { ReplicaDetail } from '../../../engine/model/types.ts';
import { type FakeContext, fakeContext, run } from '../support/fake-context.ts';
import { replica } from '../support/fake-engine.ts';

const look = { paint: createPaint(false), color: false, unicode: true, columns: 90, rows: 8 };
const detail = (stack: string, extra: Parameters<typeof replica>[0]): ReplicaDetail =>
  ({ stack, status: replica(extra) }) as unknown as ReplicaDetail;

describe('the screen of all stacks', () => {
  test('what runs, what is in trouble, and where it is', () => {
    const read = { workingDir: '/', envFiles: [], profiles: [] };
    const rows = stackRows(
      [
        { name: 'shop', status: 'exited(1), running(1)', configFiles: ['/home/ann/shop/compose.yaml'], ...read },
        { name: 'blog', status: 'running(1)', configFiles: ['/home/ann/blog/compose.yaml'], ...read },
        { name: 'old', status: 'exited(1)', configFiles: [], ...read },
      ],
      [
        detail('shop', { service: 'web', name: 'shop-web-1' }),
        detail('shop', { service: 'api', name: 'shop-api-1', state: 'exited', exitCode: 3 }),
        detail('blog', { service: 'web', name: 'blog-web-1' }),
        detail('old', { service: 'web', name: 'old-web-1', state: 'exited' }),
      ],
    );
    expect(drawStacks({ rows, cursor: 2, message: '' }, look, '/home/ann').map((line) => line.trimEnd())).toEqual([
      ' hypr  3 stacks  1 in trouble',
      `  ● blog  running(1)${' '.repeat(51)}~/blog/compose.yaml`,
      '  ○ old   exited(1)',
      `› ✗ shop  exited(1), running(1)  shop-api-1${' '.repeat(28)}~/shop/compose.yaml`,
      '',
      '',
      ' Enter open · u up · s stop · V volumes, networks, images · q leave',
    ]);
    expect(drawStacks({ rows, cursor: 0, message: '' }, { ...look, columns: 60 }, '/home/ann').at(-1)).toBe(
      ' Enter open · u up · s stop · q leave',
    );
  });
});

describe('hypr alone', () => {
  // Ink patches the console, and vitest's own cannot be patched.
  beforeAll(() => {
    vi.stubGlobal('console', nodeConsole);
  });
  afterAll(() => {
    vi.unstubAllGlobals();
  });

  const onTerminal = (env: NodeJS.ProcessEnv = {}): FakeContext => {
    const context = fakeContext({ env });
    for (const stream of [context.stdin, context.stdout, context.stderr]) {
      stream.isTTY = true;
    }
    return context;
  };
  const seen = (context: FakeContext, text: string) => expect.poll(() => context.stdout.text).toContain(text);

  test('shows all stacks, Enter opens one, leaving it comes back, q ends', async () => {
    const context = onTerminal();
    context.fake.replicas = [replica({ service: 'web' })];
    const done = run(context, '');
    await seen(context, '2 stacks');
    context.stdin.write('j');
    await seen(context, '› ');
    context.stdin.write('\r');
    await seen(context, 'logs of all services');
    expect(context.fake.call('up')).toBeUndefined();
    const before = context.stdout.text.split('2 stacks').length;
    context.stdin.write('d');
    await expect.poll(() => context.stdout.text.split('2 stacks').length).toBeGreaterThan(before);
    context.stdin.write('q');
    expect(await done).toBe(0);
    expect(context.stdin.rawModes.at(-1)).toBe(false);
  }, 60_000);

  test('a stack is read as it was last: with its folder, its env files and its profiles', async () => {
    const context = onTerminal();
    context.fake.replicas = [replica({ service: 'web' })];
    const done = run(context, '');
    await seen(context, '2 stacks');
    context.stdin.write('\r');
    await seen(context, 'logs of all services');
    expect(context.loaded[0]).toMatchObject({ projectDirectory: '/blog', envFiles: ['/blog/prod.env'], profiles: ['web'] });
    context.stdin.write('d');
    await expect.poll(() => context.stdout.text.split('2 stacks').length).toBeGreaterThan(2);
    context.stdin.write('q');
    await done;
  }, 60_000);

  test.each([
    ['without a terminal', () => fakeContext()],
    ['in CI', () => onTerminal({ CI: 'true' })],
    ['where nobody wants menus', () => onTerminal({ COMPOSE_MENU: '0' })],
  ])('%s it is the help', async (_, make) => {
    const context = make();
    expect(await run(context, '')).toBe(0);
    expect(context.stdout.text).toContain('Usage:');
  });

  test('hypr ui without a terminal is an error', async () => {
    const context = fakeContext();
    expect(await run(context, 'ui')).toBe(1);
    expect(context.stderr.text).toContain('hypr ls -a');
  });
});
