import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { gatewayFence, parseStatus } from '../../../net/client/fence.ts';
import { makeFolder, makeGateway } from './helpers.ts';

const folder = makeFolder();
const { file } = makeGateway().gvproxy;
afterAll(() => folder.remove());

const config = (changes: object = {}): string =>
  JSON.stringify({
    ...{ network: 'n', socket: join(folder.path, 'n.sock'), subnet: '10.0.0.0/24', gateway: '10.0.0.1', mtu: 1500, internal: false },
    ...changes,
  });

it('tells what it fences itself in with', async () => {
  const fence = await gatewayFence(file);
  expect(fence).toMatchObject({ seccomp: true, nets: true });
  await expect(gatewayFence('/bin/false')).rejects.toMatchObject({ code: 'NET_START' });
});

it('reads a status line, which is an error or a fence', () => {
  expect(parseStatus('{"ready":true,"fence":{"landlock":7,"seccomp":true,"nets":false}}\n')).toEqual({
    fence: { landlock: 7, seccomp: true, nets: false },
  });
  expect(parseStatus('{"error":"no"}')).toEqual({ error: 'no' });
  for (const text of ['', '{', 'null', '{"ready":true}', '{"ready":true,"fence":{"landlock":"7","seccomp":true,"nets":true}}']) {
    expect(parseStatus(text)).toBeUndefined();
  }
});

it.each([[], ['run'], ['run', 'a', 'b', 'c'], ['other'], ['-config', 'x']])('refuses the command line %j', (...args) => {
  expect(spawnSync(file, args.filter(Boolean)).status).toBe(64);
});

it.each([
  ['what is no JSON', 'x', 'cannot be read'],
  ['nothing', '', 'cannot be read'],
  ['a key it does not know', config({ listen: '0.0.0.0:80' }), 'unknown field'],
  ['another network', config({ network: 'other' }), 'not for n'],
  ['a gateway that is not inside', config({ gateway: '10.0.1.1' }), 'not in 10.0.0.0/24'],
  ['a host address that is not inside', config({ host: '10.0.1.9' }), 'host address'],
  ['a folder that is not there', config({ socket: '/nonexistent/n.sock' }), 'no such file'],
])('starts nothing with %s for its configuration', (_what, input, reason) => {
  const result = spawnSync(file, ['run', 'n'], { input, encoding: 'utf8' });
  expect(result.status).toBe(71);
  expect(result.stderr).toContain(reason);
});

describe('on a kernel that lacks', () => {
  const deny = join(folder.path, 'deny');
  const source = fileURLToPath(new URL('../../support/kernels/deny.c', import.meta.url));
  expect(spawnSync('gcc', ['-o', deny, source]).status).toBe(0);

  it('Landlock it puts up the other fence and says so', () => {
    const result = spawnSync(deny, ['l', file, 'fence'], { encoding: 'utf8' });
    expect(JSON.parse(result.stdout)).toEqual({ landlock: 0, seccomp: true, nets: true });
  });

  it('seccomp filters it starts nothing and says why', () => {
    const result = spawnSync(deny, ['s', file, 'run', 'n'], { input: config(), encoding: 'utf8' });
    expect(result.status).toBe(71);
    expect(result.stderr).toContain('this kernel has no seccomp filters');
  });
});
