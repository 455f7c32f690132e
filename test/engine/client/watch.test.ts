import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { watchProject } from '../../../engine/client/watch.ts';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import type { Stack } from '../../../engine/model/types.ts';
import { projectOf } from '../support/project.ts';

test('watch › a path that is not there yet is handled when it appears, and watched from then on', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-watch-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'later', 'data');
  const restarts: string[] = [];
  let restarted = (): void => {};
  const next = () =>
    new Promise<void>((resolve) => {
      restarted = resolve;
    });
  const stack = {
    verb: async (verb: string) => {
      restarts.push(verb);
      restarted();
    },
  } as unknown as Stack;
  const project = projectOf({ web: { develop: { watch: [{ action: 'restart', path }] } } });
  const controller = new AbortController();
  const options = { services: [], up: UP_DEFAULTS, onNotice: () => {}, onEvent: () => {} };
  const watching = watchProject(stack, project, options, controller.signal);
  const first = next();
  await mkdir(join(folder, 'later'));
  await mkdir(path);
  await first;
  const second = next();
  // Slower than changes are collected. The watch begins when the first change has been handled, which is no event of its own.
  const timer = setInterval(() => void writeFile(join(path, 'file'), `${Date.now()}`), 700);
  await second;
  clearInterval(timer);
  controller.abort();
  await watching;
  expect(restarts.slice(0, 2)).toEqual(['restart', 'restart']);
});

test.each([
  ['a folder that is there, perhaps by a link: into it', 0, '/app/sub'],
  ['no such folder: beside where it is to be', 1, '/app'],
  ['an image without test(1): as if there were none', 127, '/app'],
])('watch › sync of a new folder › %s', async (_, code, place) => {
  const path = await mkdtemp(join(tmpdir(), 'hypr-watch-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  const asked: unknown[] = [];
  const copied = Promise.withResolvers<string>();
  const stack = {
    ps: async () => [{ service: 'web', state: 'running', number: 1, oneOff: false }],
    exec: async ({ args }: { args: readonly string[] }) => {
      asked.push(args);
      return { output: (async function* () {})(), exitCode: Promise.resolve(code), closeStdin: () => {}, close: () => {} };
    },
    copyTo: async (to: { path: string }) => copied.resolve(to.path),
  } as unknown as Stack;
  const project = projectOf({ web: { develop: { watch: [{ action: 'sync', path, target: '/app' }] } } });
  const controller = new AbortController();
  const onNotice = (text: string): void => void (text === 'Watch enabled' && mkdir(join(path, 'sub')));
  const watching = watchProject(stack, project, { services: [], up: UP_DEFAULTS, onNotice, onEvent: () => {} }, controller.signal);
  expect(await copied.promise).toBe(place);
  expect(asked).toEqual([['test', '-d', '/app/sub']]);
  controller.abort();
  await watching;
});
