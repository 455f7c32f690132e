import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HyprError } from '../../../../base/errors.ts';
import type { Project } from '../../../../compose/index.ts';
import type { Host } from '../../../../engine/docker/machines/host.ts';
import type { LoopbackServer } from '../../../../engine/docker/rest/listen.ts';
import { serveRest } from '../../../../engine/docker/rest/serve-rest.ts';
import type { SettingsApi } from '../../../../engine/model/command-options.ts';
import type { EngineEvent } from '../../../../engine/model/events.ts';
import type { UpOptions } from '../../../../engine/model/types.ts';
import { removeAtExit } from '../../../support/left-over.ts';

const TOKEN = 'a'.repeat(64);
const folder = removeAtExit(mkdtempSync(join(tmpdir(), 'hypr-rest-')));
const ups: Array<{ readonly project: Project; readonly options: UpOptions }> = [];
let failure: Error | undefined;
const stack = {
  up: async (project: Project, options: UpOptions, onEvent: (event: EngineEvent) => void) => {
    ups.push({ project, options });
    onEvent({ type: 'progress', time: 1, progress: { id: 'Container shop-web-1', status: 'done', text: 'Started' } });
    onEvent({ type: 'warning', time: 1, message: 'web: cpu_shares has no effect' });
    if (failure !== undefined) {
      throw failure;
    }
  },
};
const host = { changeStack: (_: string, work: (opened: unknown) => Promise<void>) => work(stack) } as unknown as Host;
const values: Record<string, string> = {};
const settings: SettingsApi = {
  list: () => [{ name: 'ports', value: values.ports ?? 'fixed', standard: 'fixed', text: 'what' }],
  change: async (wanted) => {
    if (!Object.hasOwn(wanted, 'ports')) {
      throw new HyprError('HYPR_USAGE', 'there is no such setting');
    }
    wanted.ports === null ? delete values.ports : Object.assign(values, wanted);
  },
};
let server: LoopbackServer;

beforeAll(async () => {
  server = await serveRest(host, { port: 0, token: TOKEN, settings });
});
afterAll(() => server.close());

const ask = async (method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> => {
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
  const answer = await fetch(`http://127.0.0.1:${server.port}/api/v1${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, text: await answer.text() };
};
const linesOf = (text: string): unknown[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

const COMPOSE = `services:
  web: {image: "nginx:\${TAG:-none}", volumes: ["./data:/data"]}
  spare: {image: busybox, profiles: [more]}
`;

test('the text of a Compose file is brought up: paths from its directory, variables of the request alone, and what happens line by line', async () => {
  const { status, text } = await ask('POST', '/stacks', {
    compose: COMPOSE,
    directory: folder,
    name: 'shop',
    env: { TAG: '1.27' },
    wait: true,
  });
  expect(status).toBe(200);
  expect(linesOf(text)).toEqual([
    { type: 'progress', id: 'Container shop-web-1', status: 'done', text: 'Started' },
    { type: 'warning', message: 'web: cpu_shares has no effect' },
    { type: 'finished', stack: 'shop' },
  ]);
  const { project, options } = ups.at(-1) as (typeof ups)[number];
  expect(project.name).toBe('shop');
  expect(project.services.web).toMatchObject({ image: 'nginx:1.27', volumes: [{ source: join(folder, 'data') }] });
  expect(project.services.spare).toBeUndefined();
  expect(options).toMatchObject({ wait: true, build: false });
});

test('without a text, the files of the directory; a failure is the last line', async () => {
  writeFileSync(join(folder, 'compose.yaml'), 'name: there\nservices: {web: {image: busybox}}\n');
  failure = new HyprError('IMAGE_NOT_FOUND', 'busybox does not exist', { hint: 'check the tag' });
  const { text } = await ask('POST', '/stacks', { directory: folder, services: ['web'] });
  failure = undefined;
  expect(linesOf(text).at(-1)).toEqual({
    type: 'error',
    code: 'IMAGE_NOT_FOUND',
    message: 'busybox does not exist',
    hint: 'check the tag',
  });
  expect(ups.at(-1)?.project.name).toBe('there');
  expect(ups.at(-1)?.options.services).toEqual(['web']);
});

test.each<[string, unknown, number, string]>([
  ['no file at all', {}, 400, 'compose is missing'],
  ['a folder that is relative', { directory: 'shop' }, 400, 'absolute path'],
  ['no YAML', { compose: 'services: [', name: 'x' }, 400, ''],
  ['what the specification has not', { compose: 'services: {web: {imag: x}}', name: 'x' }, 400, 'did you mean'],
  ['a variable that must be set', { compose: 'services: {web: {image: "${TAG:?which}"}}', name: 'x' }, 400, 'which'],
  ['a service that is not there', { compose: COMPOSE, name: 'x', services: ['wbe'] }, 404, 'wbe'],
  ['a name that is a path', { compose: COMPOSE, name: '../../x' }, 400, ''],
  ['a body that is no object', [], 400, ''],
  ['a provider', { compose: 'services: {db: {provider: {type: x}}}', name: 'x' }, 501, 'hypr up'],
])('%s is answered before anything is done', async (_, body, status, says) => {
  const before = ups.length;
  const answer = await ask('POST', '/stacks', body);
  expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(says)]);
  expect(ups.length).toBe(before);
});

test('settings are shown and changed, all or none', async () => {
  expect((await ask('PATCH', '/settings', { ports: 'auto' })).status).toBe(200);
  expect(JSON.parse((await ask('GET', '/settings')).text)).toMatchObject([{ name: 'ports', value: 'auto', standard: 'fixed' }]);
  expect((await ask('PATCH', '/settings', { ports: 3 })).status).toBe(400);
  expect((await ask('PATCH', '/settings', { nothing: 'x' })).status).toBe(400);
  expect(JSON.parse((await ask('PATCH', '/settings', { ports: null })).text)).toMatchObject([{ value: 'fixed' }]);
});
