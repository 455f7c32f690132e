import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRawJsonBuild } from '../../../cli/render/build-rawjson.ts';
import type { BuildRequest } from '../../../engine/model/types.ts';
import { Capture, fakeContext, fakeProject, run } from '../support/fake-context.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-cli-build-'));
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

const open = (env: Record<string, string> = {}) => ({ ...fakeContext({ env }), cwd: folder });

/** The request that a command line made. */
const requestOf = async (line: string, env = {}): Promise<Partial<BuildRequest>> => {
  const context = open(env);
  expect([await run(context, line), context.stderr.text]).toEqual([0, expect.any(String)]);
  return context.fake.call('build')?.args[0] as BuildRequest;
};

describe('where a build goes', () => {
  test.each([
    ['build .', undefined],
    ['build --load .', ['type=docker']],
    ['build --push .', ['type=image,push=true']],
    ['build --push --load .', ['type=image,push=true']],
    ['build -o out .', ['out']],
    ['build -o out --load .', ['out', 'type=docker']],
    ['build -o type=docker --load .', ['type=docker']],
    ['build --push -o type=image,name=a -o out .', ['type=image,name=a,push=true', 'out']],
  ])('%s', async (line, outputs) => {
    expect((await requestOf(line)).outputs).toEqual(outputs);
  });

  test('caches, annotations, stages to build anew and the date of the environment', async () => {
    const line =
      'build --cache-from a/b --cache-from type=local,src=c --cache-to type=local,dest=c,mode=max --annotation k=v ' +
      '--no-cache-filter a,b --no-cache-filter c --provenance=mode=min --sbom=false -o - .';
    expect(await requestOf(line, { SOURCE_DATE_EPOCH: '7' })).toMatchObject({
      cacheFrom: ['a/b', 'type=local,src=c'],
      cacheTo: ['type=local,dest=c,mode=max'],
      annotations: ['k=v'],
      noCacheFilter: ['a', 'b', 'c'],
      provenance: 'mode=min',
      folder,
      buildArgs: { SOURCE_DATE_EPOCH: '7' },
      outputs: ['-'],
      stdout: expect.any(Capture),
    });
    expect((await requestOf('build --build-arg SOURCE_DATE_EPOCH=8 .', { SOURCE_DATE_EPOCH: '7' })).buildArgs).toEqual({
      SOURCE_DATE_EPOCH: '8',
    });
    for (const flags of ['--provenance=false --sbom=false', '--attest type=provenance,disabled=true --attest type=sbom,disabled=true']) {
      expect(await requestOf(`build ${flags} .`)).not.toHaveProperty('provenance');
    }
    expect(await requestOf('build --attest type=provenance,mode=min .')).toMatchObject({ provenance: 'mode=min' });
  });

  test('further contexts: paths are absolute; those of layouts start from the folder of the call', async () => {
    const flags = ['a=sub', 'b=oci-layout://sub:1', 'c=docker-image://x:1', 'd=https://h/r.git'];
    const request = await requestOf(`build ${flags.map((flag) => `--build-context ${flag}`).join(' ')} .`);
    const additionalContexts = { a: join(folder, 'sub'), b: 'oci-layout://sub:1', c: 'docker-image://x:1', d: 'https://h/r.git' };
    expect(request).toMatchObject({ additionalContexts, folder });
  });

  test('--iidfile and --metadata-file', async () => {
    await requestOf('build --iidfile id --metadata-file meta.json .');
    expect(readFileSync(join(folder, 'id'), 'utf8')).toBe(`sha256:${'cd'.repeat(32)}`);
    expect(JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8'))).toEqual({});
  });

  test('--progress none is silent', async () => {
    const context = open();
    expect(await run(context, 'build -q --progress none .')).toBe(0);
    expect(context.stderr.text).toBe('');
  });
});

describe('--call', () => {
  const location = { ranges: [] };
  test('outline as text and as JSON', async () => {
    const context = open();
    context.fake.outline = {
      name: 'out',
      description: 'the result',
      args: [
        { name: 'VERSION', value: '1.0', description: 'of it', location },
        { name: 'X', location },
      ],
      secrets: [{ name: 'npm', required: true, location }],
      sources: ['YQ=='],
    };
    expect(await run(context, 'build --call outline .')).toBe(0);
    expect(context.stdout.text).toBe(
      [
        'TARGET:      out',
        'DESCRIPTION: the result',
        '',
        'BUILD ARG   VALUE   DESCRIPTION',
        'VERSION     1.0     of it',
        'X                   ',
        '',
        'SECRET   REQUIRED',
        'npm      true',
        '',
        '',
      ].join('\n'),
    );
    const json = { ...open(), fake: context.fake, engine: context.engine };
    await run(json, 'build --call outline,format=json .');
    expect(JSON.parse(json.stdout.text)).toEqual(context.fake.outline);
  });

  test('targets', async () => {
    const context = open();
    context.fake.targets = {
      targets: [{ name: 'base', description: 'all' }, { name: 'prod', default: true }, { default: true }],
      sources: [],
    };
    await run(context, 'build --call=targets .');
    expect(context.stdout.text).toBe('TARGET           DESCRIPTION\nbase             all\nprod (default)   \n(default)        \n');
  });

  test.each(['nope', 'outline,format=xml', 'outline,x=1'])('--call %s is refused', async (word) => {
    const context = open();
    expect(await run(context, `build --call ${word} .`)).toBe(1);
    expect(context.stderr.text).toContain('--call does not know');
  });
});

describe('compose build', () => {
  const project = fakeProject({
    environment: { B: '2' },
    services: {
      'my.db': { build: { context: '/shop', dockerfile_inline: 'FROM scratch' } },
      web: {
        image: 'example.org/shop/web:1',
        build: {
          context: 'web',
          target: 'prod',
          args: { A: '1', B: null, C: null },
          tags: ['extra:1'],
          cache_from: ['type=local,src=c'],
          no_cache_filter: ['deps'],
        },
      },
      plain: { image: 'nginx' },
    },
  });
  const compose = () => fakeContext({ project });

  test('--print is a bake file; nothing is built', async () => {
    const context = compose();
    expect(await run(context, 'compose build --print --no-cache --push')).toBe(0);
    const label = (service: string) => ({ 'com.docker.compose.project': 'shop', 'com.docker.compose.service': service });
    expect(JSON.parse(context.stdout.text)).toEqual({
      group: { default: { targets: ['my_db', 'web'] } },
      target: {
        web: {
          context: '/shop/web',
          dockerfile: 'Dockerfile',
          args: { A: '1', B: '2' },
          labels: label('web'),
          tags: ['example.org/shop/web:1', 'extra:1'],
          'cache-from': ['type=local,src=c'],
          target: 'prod',
          'no-cache': true,
          'no-cache-filter': ['deps'],
          output: ['type=registry'],
        },
        my_db: {
          context: '/shop',
          'dockerfile-inline': 'FROM scratch',
          labels: label('my.db'),
          tags: ['shop-my.db'],
          'no-cache': true,
          output: ['type=docker'],
        },
      },
    });
    expect(context.fake.call('buildProject')).toBeUndefined();
  });

  test('--print: a service that another builds on is a target of its own, also when only the other was asked for', async () => {
    const on = (context: string) => ({ build: { context: 'web', additional_contexts: { x: context, y: 'docker-image://y' } } });
    const services = { web: on('service:mid') };
    const disabledServices = { 'low.est': { build: { context: 'low' } }, mid: on('service:low.est') };
    const context = fakeContext({ project: fakeProject({ services, disabledServices }) });
    expect(await run(context, 'compose build --print web')).toBe(0);
    const { group, target } = JSON.parse(context.stdout.text);
    expect(group.default.targets).toEqual(['low_est', 'mid', 'web']);
    expect(target.web.contexts).toEqual({ x: 'target:mid', y: 'docker-image://y' });
    expect(target.mid.contexts.x).toBe('target:low_est');
  });

  test('--push and --provenance reach the engine', async () => {
    const context = compose();
    expect(await run(context, 'compose build --push --provenance=mode=min --sbom=false web')).toBe(0);
    expect(context.fake.call('buildProject')?.args[1]).toMatchObject({ services: ['web'], push: true, provenance: 'mode=min' });
    expect(await run(context, 'compose build --sbom=true')).toBe(1);
  });

  test.each([
    ['compose --parallel 3 build', {}, 3],
    ['compose build', { COMPOSE_PARALLEL_LIMIT: '2' }, 2],
    ['compose --parallel -1 build', { COMPOSE_PARALLEL_LIMIT: '2' }, -1],
    ['compose build', { COMPOSE_PARALLEL_LIMIT: '' }, undefined],
  ])('%s with %j builds %s at a time', async (line, env, parallel) => {
    const context = compose();
    Object.assign(context.env, env);
    expect(await run(context, line)).toBe(0);
    expect(context.fake.call('buildProject')?.args[1]).toMatchObject(parallel === undefined ? {} : { parallel });
  });

  test('a limit that is no number is refused', async () => {
    const context = compose();
    context.env.COMPOSE_PARALLEL_LIMIT = 'many';
    expect(await run(context, 'compose build')).toBe(1);
    expect(context.stderr.text).toContain('COMPOSE_PARALLEL_LIMIT must be an integer (found: "many")');
  });
});

test('rawjson is SolveStatus: vertexes, logs, statuses, warnings with base64 and RFC 3339 times', () => {
  const stream = new Capture();
  const renderer = createRawJsonBuild(stream);
  const time = Date.UTC(2026, 0, 1);
  renderer.onEvent('', { type: 'vertex', id: 1, name: '[1/2] RUN x', state: 'started', time });
  renderer.onEvent('', { type: 'log', id: 1, stream: 'stderr', text: 'hi\n', time });
  renderer.onEvent('', { type: 'status', id: 1, text: 'loading', current: 1, total: 2, time });
  renderer.onEvent('', { type: 'vertex', id: 1, name: '[1/2] RUN x', state: 'cached', time: time + 5, duration: 5 });
  renderer.onEvent('', { type: 'warning', message: 'careful', file: 'Dockerfile', line: 3 });
  const lines = stream.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const at = '2026-01-01T00:00:00.000Z';
  const digest = lines[0].vertexes[0].digest;
  expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(lines).toEqual([
    { vertexes: [{ digest, name: '[1/2] RUN x', started: at }] },
    { logs: [{ vertex: digest, stream: 2, data: 'aGkK', timestamp: at }] },
    { statuses: [{ id: 'loading', vertex: digest, current: 1, total: 2, timestamp: at, started: at }] },
    { vertexes: [{ digest, name: '[1/2] RUN x', started: at, completed: '2026-01-01T00:00:00.005Z', cached: true }] },
    {
      warnings: [
        { level: 1, short: 'Y2FyZWZ1bA==', sourceInfo: { filename: 'Dockerfile' }, range: [{ start: { line: 3 }, end: { line: 3 } }] },
      ],
    },
  ]);
});
