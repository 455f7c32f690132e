import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { buildRequest } from '../../../engine/images/build-request.ts';
import type { BuildInput } from '../../../engine/model/platform.ts';

const context = mkdtempSync(join(tmpdir(), 'hypr-request-'));
afterAll(() => rmSync(context, { recursive: true, force: true }));

const input = (config: BuildInput['config'], rest: Partial<BuildInput> = {}): BuildInput => ({
  config: { context, ...config },
  tags: ['shop-web'],
  labels: {},
  noCache: false,
  pull: false,
  buildArgs: {},
  platform: undefined,
  environment: { NPM: 'hush', EMPTY: '' },
  ...rest,
});

test('secrets come from files, variables and the file itself, under their target or name', async () => {
  const secrets = {
    token: { name: 'token', file: '/somewhere/token' },
    npm: { name: 'npm', environment: 'NPM' },
    blank: { name: 'blank', environment: 'EMPTY' },
    inline: { name: 'inline', content: 'text' },
    unused: { name: 'unused', environment: 'NOT_SET' },
  };
  const config = { secrets: [{ source: 'token' }, { source: 'npm', target: 'npmrc' }, 'blank', { source: 'inline' }] };
  expect((await buildRequest(input(config, { secrets }))).secrets).toEqual({
    token: { file: '/somewhere/token' },
    npmrc: { value: 'hush' },
    blank: { value: '' },
    inline: { value: 'text' },
  });
});

test.each([
  [{ secrets: [{ source: 'x' }] }, 'COMPOSE_INVALID', /NOT_SET, which is not set/],
  [{ secrets: [{ source: 'y' }] }, 'COMPOSE_INVALID', /neither a file nor a variable/],
  [{ ssh: ['default'] }, 'COMPOSE_INVALID', /make sure SSH_AUTH_SOCK is set/],
  [{ ssh: ['key=/nowhere/key'] }, 'COMPOSE_INVALID', /\/nowhere\/key, which does not exist/],
  [{ network: 'host' }, 'HYPR_UNSUPPORTED', /build\.network: host/],
] as const)('refuses %j', async (config, code, message) => {
  const secrets = { x: { name: 'x', environment: 'NOT_SET' } };
  const error = await buildRequest(input(config as unknown as BuildInput['config'], { secrets })).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HyprError);
  expect((error as HyprError).code).toBe(code);
  expect((error as HyprError).message).toMatch(message);
});

test('ssh and ulimits go into the request', async () => {
  const request = await buildRequest(input({ ssh: [`key=${context}`], ulimits: { nproc: 5, nofile: { soft: 1, hard: 2 } } }));
  expect(request.ssh).toEqual({ key: { keys: [context] } });
  expect(request.limits).toEqual({ ulimits: { nproc: { soft: 5, hard: 5 }, nofile: { soft: 1, hard: 2 } } });
});

test.each([undefined, 'default', 'none', 'proxy'])('network %s is given on', async (network) => {
  const request = await buildRequest(input(network === undefined ? {} : { network }));
  expect(request.network).toBe(network ?? 'default');
});

test('caches, stages to build anew, and the date of the environment; a push is an output, and only then is something attested', async () => {
  const config = { cache_from: ['type=local,src=c'], cache_to: ['type=inline'], no_cache_filter: ['deps'], provenance: true };
  const environment = { SOURCE_DATE_EPOCH: '7' };
  expect(await buildRequest(input(config, { environment, folder: context }))).toMatchObject({
    cacheFrom: ['type=local,src=c'],
    cacheTo: ['type=inline'],
    noCacheFilter: ['deps'],
    buildArgs: { SOURCE_DATE_EPOCH: '7' },
    folder: context,
  });
  expect(await buildRequest(input(config))).not.toHaveProperty('provenance');
  const pushed = { outputs: ['type=image,push=true'], provenance: 'true' };
  expect(await buildRequest(input(config, { push: true }))).toMatchObject(pushed);
  expect(await buildRequest(input(config, { push: true, provenance: 'false' }))).toMatchObject({ ...pushed, provenance: 'false' });
});
