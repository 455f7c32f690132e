import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCli } from '../../../cli/entry/run.ts';
import type { Service } from '../../../compose/model/model.ts';
import { projectFolder } from '../../compose/project-folder.ts';
import { fakeContext, fakeProject } from '../support/fake-context.ts';

/** A provider as docker compose's documentation has it: says what it was called with, sets two variables. */
const PROVIDER = `#!/bin/sh
[ "$2" = metadata ] && { echo '{"up": {"parameters": [{"name": "size", "required": true}]}, "down": {}, "stop": {}}'; exit; }
echo "$@" >> "$LOG"
echo '{"type": "info", "message": "making"}'
eval "$SAY"
echo '{"type": "setenv", "message": "URL=http://x/?a=b"}'
echo '{"type": "rawsetenv", "message": "REGION=there"}'
[ "$FAIL" = "" ] || echo '{"type": "error", "message": "no money"}'
`;

const open = async (provider: Record<string, unknown>, env: NodeJS.ProcessEnv = {}, web: Partial<Service> = {}) => {
  const folder = await projectFolder({ cloud: PROVIDER });
  await chmod(join(folder, 'cloud'), 0o755);
  await writeFile(join(folder, 'log'), '');
  const services = {
    web: { image: 'x', ...web, environment: { REGION: 'here' }, depends_on: { db: { condition: 'service_started', required: true } } },
    db: { provider },
  } as unknown as Record<string, Service>;
  const context = fakeContext({
    project: fakeProject({ services }),
    env: { PATH: `${folder}:${process.env.PATH}`, LOG: join(folder, 'log'), HYPR_PROVIDERS: 'other, cloud', ...env },
  });
  Object.assign(context, { cwd: folder });
  return { context, log: async () => (await readFile(join(folder, 'log'), 'utf8')).trim().split('\n').filter(Boolean) };
};

const CLOUD = { type: 'cloud', options: { size: ['10'], unknown: ['1'] } };

describe('provider', () => {
  test('up runs it with the options that it knows; its variables come to what depends on it, and the engine does not see it', async () => {
    const { context, log } = await open(CLOUD);
    expect(await runCli(['up', '-d'], context)).toBe(0);
    expect(await log()).toEqual(['compose --project-name=shop up --size=10 db']);
    const project = context.fake.call('up')?.args[0] as ReturnType<typeof fakeProject>;
    expect(project.services).toEqual({ web: { image: 'x', depends_on: {}, environment: { DB_URL: 'http://x/?a=b', REGION: 'there' } } });
    expect(context.stderr.text).toContain('provider "db" overrides environment variable "REGION" in service "web"');
  });

  test.each([
    ['create', 'up'],
    ['compose run -T web true', 'run'],
    ['compose watch', 'up'],
  ])('%s runs it as well', async (line, call) => {
    const develop = { watch: [{ path: '.', action: 'restart' }] } as NonNullable<Service['develop']>;
    const { context, log } = await open(CLOUD, {}, line.endsWith('watch') ? { develop } : {});
    await runCli(line.split(' '), context);
    expect(await log()).toEqual(['compose --project-name=shop up --size=10 db']);
    const { args } = context.fake.call(call) ?? { args: [] };
    expect(args.find((each) => (each as { services?: unknown })?.services)).toMatchObject({
      services: { web: { environment: { DB_URL: 'http://x/?a=b' } } },
    });
  });

  test('run --no-deps does not, and needs no consent', async () => {
    const { context, log } = await open(CLOUD, { HYPR_PROVIDERS: '' });
    expect(await runCli(['compose', 'run', '-T', '--no-deps', 'web', 'true'], context)).toBe(0);
    expect(await log()).toEqual([]);
  });

  test('stop and down tell it', async () => {
    const { context, log } = await open(CLOUD);
    expect(await runCli(['stop'], context)).toBe(0);
    expect(await runCli(['down'], context)).toBe(0);
    expect(await log()).toEqual(['compose --project-name=shop stop db', 'compose --project-name=shop down db']);
  });

  test('runs only with the consent of the user, which the refusal shows how to give', async () => {
    const { context, log } = await open(CLOUD, { HYPR_PROVIDERS: '' });
    expect(await runCli(['compose', 'up', '-d'], context)).toBe(1);
    expect(context.stderr.text).toContain('HYPR_PROVIDERS=cloud hypr compose up');
    expect(await runCli(['down'], context)).toBe(0);
    expect(await log()).toEqual([]);
    expect(context.fake.call('up')).toBeUndefined();
  });

  test('what it says on stderr is clean, one that floods is killed, and so is one whose line does not end', async () => {
    const said = await open(CLOUD, { SAY: "printf '\\033]0;owned\\007warn\\033[2Jing\\n' >&2" });
    expect(await runCli(['up', '-d'], said.context)).toBe(0);
    expect(said.context.stderr.text).toContain('db: warning\n');
    const flood = await open(CLOUD, { SAY: "yes x | head -n 5000 >&2; head -c 300000 /dev/zero | tr '\\0' y >&2" });
    expect(await runCli(['up', '-d'], flood.context)).toBe(0);
    expect(flood.context.stderr.text.split('db: x').length).toBeLessThan(1002);
    expect(flood.context.stderr.text).toContain('it says more');
    for (const SAY of ["exec tr '\\0' x < /dev/zero", `exec yes '{"type": "debug", "message": "x"}'`]) {
      const endless = await open(CLOUD, { SAY });
      expect(await runCli(['up', '-d'], endless.context)).toBe(1);
      expect(endless.context.stderr.text).toMatch(/says (something that is no message: x{200} |more than 10000 messages)/);
    }
  });

  test.each([
    [{ type: 'cloud', options: {} }, {}, 'required parameter "size" is missing from provider "cloud" definition'],
    [{ type: '../cloud' }, {}, '"../cloud" is not a valid provider type'],
    [{ type: 'other' }, {}, 'there is no provider other'],
    [CLOUD, { FAIL: '1' }, 'no money'],
  ])('%o %o: %s', async (provider, env, message) => {
    const { context } = await open(provider, env);
    expect(await runCli(['up', '-d'], context)).toBe(1);
    expect(context.stderr.text).toContain(message);
    expect(context.fake.call('up')).toBeUndefined();
  });
});
