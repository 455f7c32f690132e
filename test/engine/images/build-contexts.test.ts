import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { ProgressSink } from '../../../base/progress.ts';
import type { Service } from '../../../compose/model/model.ts';
import { ensureImages } from '../../../engine/images/ensure-images.ts';
import { type ImageOptions, planImages } from '../../../engine/images/images.ts';
import type { BuildInput } from '../../../engine/model/platform.ts';
import { until } from '../../support/until.ts';
import { Cue } from '../support/cue.ts';
import { createFakePlatform, type FakePlatform } from '../support/fake-platform.ts';
import { projectOf } from '../support/project.ts';
import { openTestStack } from '../support/stack.ts';

const reading = (...names: string[]): Service =>
  ({ build: { context: '/c', additional_contexts: Object.fromEntries(names.map((name) => [name, `service:${name}`])) } }) as Service;
const OPTIONS: ImageOptions = { build: false, noBuild: false, pull: 'policy' };

/** A host on which builds note which images they read. */
const openHost = (): FakePlatform & { read: Record<string, string[]> } => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-contexts-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const platform = createFakePlatform(dir);
  const read: Record<string, string[]> = {};
  const buildImage: FakePlatform['buildImage'] = (input: BuildInput, ...rest) => {
    read[input.tags[0] ?? ''] = Object.values(input.serviceImages ?? {}).map(({ id }) => id);
    return platform.buildImage(input, ...rest);
  };
  return { ...platform, buildImage, read };
};

test('one image that one of two services builds is built once and pulled by neither', async () => {
  const project = projectOf({ worker: { image: 'app:1' }, web: { image: 'app:1', build: { context: '/c' } } });
  const platform = openHost();
  const actions = await planImages({ project, services: ['worker', 'web'], options: OPTIONS, platform });
  expect(actions.map(({ service, action, builtBy }) => [service, action, builtBy])).toEqual([
    ['web', 'build', undefined],
    ['worker', 'none', 'web'],
  ]);
  const images = await ensureImages({ project, actions, platform, progress: () => {}, onBuild: () => {} }, new AbortController().signal);
  expect(platform.journal).toEqual(['build app:1']);
  expect(images.worker?.id).toBe(images.web?.id);
});

test.each([
  ['FROM base', {}],
  ['FROM scratch\nCOPY --from=docker.io/library/base:latest / /', {}],
  ['FROM scratch\nRUN --mount=from=base,target=/base true', {}],
  ['FROM scratch\nRUN --mount=type=cache,target=/c,from=base:latest,source=/x true', {}],
  ['ARG IMAGE=base\nFROM ${IMAGE}:latest', {}],
  ['ARG IMAGE\nFROM $IMAGE', { args: { IMAGE: 'base' } }],
  ['ARG IMAGE=other\nFROM $IMAGE', { args: { IMAGE: 'base' } }],
  ['FROM x', { additional_contexts: { x: 'docker-image://base' } }],
  ['FROM scratch\nCOPY --from=x / /', { additional_contexts: { x: 'docker-image://docker.io/library/base:latest' } }],
])('a build that names the image of a build before it waits for that: %s %o', async (dockerfile, rest) => {
  const build = (text: string, more = {}): Service => ({ build: { context: '/c', dockerfile_inline: text, ...more } }) as Service;
  const project = projectOf({
    base: { image: 'base', ...build('FROM scratch') },
    web: build(dockerfile, rest),
    other: build('FROM scratch'),
  });
  const platform = openHost();
  const isBuilt = new Cue();
  const buildImage: FakePlatform['buildImage'] = async (input, ...rest) => {
    if (input.tags[0] === 'base') {
      await isBuilt.promise;
    }
    return platform.buildImage(input, ...rest);
  };
  const actions = await planImages({ project, services: ['base', 'web', 'other'], options: OPTIONS, platform });
  const input = { project, actions, platform: { ...platform, buildImage }, progress: () => {}, onBuild: () => {} };
  const made = ensureImages({ ...input, parallel: 2 }, new AbortController().signal);
  await vi.waitFor(() => expect(platform.journal).toEqual(['build other:1']), 15_000);
  isBuilt.resolve();
  await made;
  expect(platform.journal).toEqual(['build other:1', 'build base', 'build web:1']);
});

describe('a service whose build reads the image of another', () => {
  const project = projectOf(
    { web: reading('mid', 'low') },
    { disabledServices: { mid: { ...reading('low'), image: 'mid:1' }, low: reading() } },
  );
  const make = async (platform: FakePlatform, options: Partial<ImageOptions> = {}, given = project) => {
    const actions = await planImages({ project: given, services: ['web'], options: { ...OPTIONS, ...options }, platform });
    const input = { project: given, actions, platform, progress: () => {}, onBuild: () => {} };
    const images = await ensureImages(input, new AbortController().signal);
    return { actions: actions.map(({ action, reference }) => `${action} ${reference}`), images };
  };

  test('those that are missing are built first, each once, and their images given to the build', async () => {
    const platform = openHost();
    const { actions, images } = await make(platform);
    expect(actions).toEqual(['build shop-low', 'build mid:1', 'build web:1']);
    expect(platform.journal).toEqual(['build shop-low', 'build mid:1', 'build web:1']);
    expect(platform.read).toEqual({ 'shop-low': [], 'mid:1': [images.low?.id], 'web:1': [images.mid?.id, images.low?.id] });
  });

  test('those that are there are read as they are, unless everything is to be built', async () => {
    const platform = openHost();
    const { id } = platform.addImage('mid:1');
    expect((await make(platform)).actions).toEqual(['build shop-low', 'none mid:1', 'build web:1']);
    expect(platform.read['web:1']).toEqual([id, expect.stringContaining('built')]);
    expect((await make(platform, { build: true })).actions).toEqual(['build shop-low', 'build mid:1', 'build web:1']);
  });

  test('nothing is asked of them when the service itself is not built', async () => {
    const platform = openHost();
    platform.addImage('web:1');
    expect((await make(platform)).actions).toEqual(['none web:1']);
    expect((await make(openHost(), { noBuild: true })).actions).toEqual(['pull web:1']);
  });

  test('the failure of one is that of the whole, and what reads it is not started', async () => {
    const platform = openHost();
    const failing = { ...platform, buildImage: () => Promise.reject(new Error('low is broken')) };
    await expect(make(failing)).rejects.toThrow('low is broken');
    expect(platform.journal).toEqual([]);
  });

  test('a circle is refused before anything is built', async () => {
    const platform = openHost();
    const circle = projectOf({ web: reading('low'), low: reading('web') });
    await expect(make(platform, {}, circle)).rejects.toMatchObject({ code: 'COMPOSE_INVALID' });
    expect(platform.journal).toEqual([]);
  });

  test('up --build builds it and starts only what was asked for', async () => {
    const stack = openTestStack();
    await stack.up(project, { build: true, services: ['web'] });
    expect(stack.platform.journal.filter((line) => /^(build|boot)/.test(line))).toEqual([
      ...['build shop-low', 'build mid:1', 'build web:1'],
      'boot shop-web-1',
    ]);
    expect(stack.states()).toEqual({ 'shop-web-1': 'running' });
  });
});

describe('builds side by side', () => {
  const project = projectOf({ a: reading(), b: reading(), c: reading('a') });
  /** Builds that say when they begin and end, and wait for their cue. */
  const openWorks = () => {
    const platform = openHost();
    const journal: string[] = [];
    const cues = new Map(['a', 'b', 'c'].map((name) => [name, new Cue<void>()]));
    const buildImage: FakePlatform['buildImage'] = async (input, onEvent, signal) => {
      const name = input.labels['com.docker.compose.service'] ?? '';
      journal.push(`${name} begins`);
      const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
      await Promise.race([cues.get(name)?.promise, aborted]).catch((error) => {
        journal.push(`${name} is ended`);
        throw error;
      });
      journal.push(`${name} ends`);
      return platform.buildImage(input, onEvent, signal);
    };
    return {
      journal,
      cue: (name: string) => cues.get(name)?.resolve(),
      fail: (name: string) => cues.get(name)?.reject(new Error(`${name} is broken`)),
      platform: { ...platform, buildImage },
    };
  };
  const start = async (works: ReturnType<typeof openWorks>, parallel?: number, signal = new AbortController().signal) => {
    const actions = await planImages({
      project,
      services: ['a', 'b', 'c'],
      options: { ...OPTIONS, build: true },
      platform: works.platform,
    });
    const shown: string[] = [];
    const progress: ProgressSink = ({ id, text }) => void shown.push(`${id} ${text}`);
    const ended = ensureImages({ project, actions, platform: works.platform, progress, onBuild: () => {}, parallel }, signal);
    ended.catch(() => {});
    return { ended, shown };
  };

  test('begin at once, and those that read another when it is there', async () => {
    const works = openWorks();
    const { ended } = await start(works);
    await until(() => expect(works.journal).toEqual(['a begins', 'b begins']));
    works.cue('a');
    await until(() => expect(works.journal.slice(2)).toEqual(['a ends', 'c begins']));
    works.cue('c');
    works.cue('b');
    expect(Object.keys(await ended).sort()).toEqual(['a', 'b', 'c']);
  });

  test('are no more than asked for: those that wait for others take no turn', async () => {
    const works = openWorks();
    for (const name of ['a', 'b', 'c']) {
      works.cue(name);
    }
    await (await start(works, 1)).ended;
    // One by one, and c after a, which it reads; whether b comes before c is a matter of whose Dockerfile is read first.
    const { journal } = works;
    const order = journal.filter((_, index) => index % 2 === 0).map((line) => line.replace(' begins', ''));
    expect(journal).toEqual(order.flatMap((name) => [`${name} begins`, `${name} ends`]));
    expect([...order].sort()).toEqual(['a', 'b', 'c']);
    expect(order.indexOf('a')).toBeLessThan(order.indexOf('c'));
  });

  test('the first to fail ends the others, which only then let the whole fail', async () => {
    const works = openWorks();
    const { ended, shown } = await start(works);
    await until(() => expect(works.journal).toHaveLength(2));
    works.fail('b');
    await expect(ended).rejects.toThrow('b is broken');
    expect(works.journal).toEqual(['a begins', 'b begins', 'b is ended', 'a is ended']);
    expect(shown).toEqual(['Image a:1 Building', 'Image b:1 Building', 'Image b:1 Error', 'Image a:1 Canceled']);
  });

  test('an interrupt ends all; those that had no turn yet never begin', async () => {
    const works = openWorks();
    const controller = new AbortController();
    const { ended } = await start(works, 1, controller.signal);
    await until(() => expect(works.journal).toEqual(['a begins']));
    controller.abort(new Error('interrupted'));
    await expect(ended).rejects.toThrow('interrupted');
    expect(works.journal).toEqual(['a begins', 'a is ended']);
  });
});
