import { execFileSync } from 'node:child_process';
import nodeConsole from 'node:console';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { loadBundle } from '../../base/host/load-bundle.ts';
import { ownNode, root } from '../../scripts/own-node.mjs';
import { fakeContext } from '../cli/support/fake-context.ts';
import { replica } from '../cli/support/fake-engine.ts';

// scripts/build.mjs changes two packages of the dashboard, so that they fit into a script: here what came of it runs.

beforeAll(() => {
  // Ink patches the console, and vitest's own cannot be patched.
  vi.stubGlobal('console', nodeConsole);
  if (!existsSync(join(root, 'dist', 'start.cjs'))) {
    execFileSync(ownNode, [join(root, 'scripts', 'build.mjs')], { stdio: 'inherit' });
  }
}, 120_000);
afterAll(() => {
  vi.unstubAllGlobals();
});

test('the built dashboard › draws, hears a key and restores the terminal', async () => {
  const dist = join(root, 'dist');
  const bundle = loadBundle(dist, 'hypr', createRequire(join(dist, 'start.cjs'))).exports as typeof import('../../cli/entry/bundle.ts');
  const { runCli } = await bundle.parts();
  const context = fakeContext({ env: {} });
  for (const stream of [context.stdin, context.stdout, context.stderr]) {
    stream.isTTY = true;
  }
  context.fake.onUp = async () => {
    context.fake.replicas = [replica({ service: 'web' })];
  };
  const done = runCli(['up'], context);
  await expect.poll(() => context.stdin.rawModes.includes(true), { timeout: 20_000 }).toBe(true);
  context.stdin.write('d');
  expect(await done).toBe(0);
  expect(context.stdout.text).toContain('logs of all services');
  expect(context.stdin.rawModes.at(-1)).toBe(false);
  expect(context.stderr.text).toContain('shop goes on without the dashboard:');
});

test('the built screen of all stacks › draws, opens one without an up, and comes back', async () => {
  const dist = join(root, 'dist');
  const bundle = loadBundle(dist, 'hypr', createRequire(join(dist, 'start.cjs'))).exports as typeof import('../../cli/entry/bundle.ts');
  const { runCli } = await bundle.parts();
  const context = fakeContext({ env: {} });
  for (const stream of [context.stdin, context.stdout, context.stderr]) {
    stream.isTTY = true;
  }
  const done = runCli([], context);
  await expect.poll(() => context.stdout.text).toContain('2 stacks');
  context.stdin.write('\r');
  await expect.poll(() => context.stdout.text).toContain('logs of all services');
  expect(context.fake.call('up')).toBeUndefined();
  context.stdin.write('d');
  await expect.poll(() => context.stdout.text.split('2 stacks').length).toBeGreaterThan(2);
  context.stdin.write('q');
  expect(await done).toBe(0);
}, 60_000);
