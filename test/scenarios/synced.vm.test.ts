import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mustHypr } from '../support/cli.ts';
import { TestStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

/** `x-hypr: {mount: synced}`: the folder is on the machine's own disk, and equal with this host's. */
const COMPOSE = `services:
  web:
    image: busybox
    command: sleep 1d
    init: true
    stop_grace_period: 1s
    volumes:
      - {type: bind, source: ./src, target: /app, x-hypr: {mount: synced}}
      - ./compose.yaml:/compose.yaml
  worker:
    image: busybox
    command: sleep 1d
    init: true
    stop_grace_period: 1s
    x-hypr: {mount: synced}
    volumes: ['./src:/work']
`;

describe('a synced folder', () => {
  const stack = new TestStack('synced');
  const here = (name: string) => join(stack.dir, 'src', name);
  const inWeb = (script: string) => stack.must(['exec', '-T', 'web', 'sh', '-c', script]);

  const holds = (check: () => boolean | Promise<boolean>) => until(async () => expect(await check()).toBe(true));

  beforeAll(async () => {
    await stack.write({ 'compose.yaml': COMPOSE });
    await mkdir(here('.git'), { recursive: true });
    await mkdir(here('deep/er'), { recursive: true });
    await writeFile(here('.git/HEAD'), 'main');
    for (let index = 0; index < 60; index++) {
      await writeFile(here(`deep/er/f${index}`), String(index));
    }
  });
  afterAll(() => stack.close());

  test('is filled before the program starts, and up says so', async () => {
    const { code, stderr } = await stack.run(['up', '-d']);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/Mount \S*src of \S*web-1 Filled/);
    expect(await inWeb('cat /app/.git/HEAD; ls /app/deep/er | wc -l; grep " /app " /proc/mounts')).toMatch(/^main60\n\S+ \/app ext4 /);
    expect(await inWeb('cat /compose.yaml')).toBe(COMPOSE);
  });

  test('has what is made on either side, in folders that editors do not watch, too, and in another service', async () => {
    await inWeb('echo made > /app/made; rm /app/deep/er/f1; mkdir /app/node_modules; echo x > /app/node_modules/x');
    await writeFile(here('.git/HEAD'), 'other');
    await holds(() => existsSync(here('node_modules/x')) && existsSync(here('made')) && !existsSync(here('deep/er/f1')));
    await holds(async () => (await inWeb('cat /app/.git/HEAD')) === 'other');
    await holds(async () => (await stack.run(['exec', '-T', 'worker', 'cat', '/work/made'])).stdout === 'made\n');
    await writeFile(here('node_modules/x'), 'edited');
    await holds(async () => (await inWeb('cat /app/node_modules/x')) === 'edited');
  });

  test('is carried over whole at the end, and filled anew in a new machine', async () => {
    await inWeb('mkdir /app/many; for i in $(seq 300); do echo $i > /app/many/$i; done');
    await stack.must(['up', '-d', '--force-recreate', 'web']);
    expect(readdirSync(here('many')).length).toBe(300);
    expect(await inWeb('ls /app/many | wc -l')).toBe('300\n');
  });

  test('loses nothing of this host to a machine that was killed, and goes on with the same disk', async () => {
    await writeFile(here('mine'), 'before');
    await holds(async () => (await stack.run(['exec', '-T', 'web', 'cat', '/app/mine'])).stdout === 'before');
    await stack.must(['kill', 'worker']);
    const { Pid } = JSON.parse(await mustHypr(['inspect', '-f', '{{json .State}}', 'synced-web-1'], { env: stack.env })) as { Pid: number };
    process.kill(Pid, 'SIGKILL');
    await holds(async () => (await stack.ps()).some(({ Name, State }) => Name === 'synced-web-1' && State === 'exited'));
    await writeFile(here('mine'), 'after');
    await stack.must(['up', '-d', 'web']);
    expect(await inWeb('cat /app/mine; ls /app/many | wc -l')).toBe('after300\n');
    expect(readFileSync(here('mine'), 'utf8')).toBe('after');
  });

  test('is suspended and resumed, and hears what was edited meanwhile', async () => {
    await stack.must(['suspend']);
    await writeFile(here('asleep'), 'yes');
    await stack.must(['resume']);
    await holds(async () => (await stack.run(['exec', '-T', 'web', 'cat', '/app/asleep'])).stdout === 'yes');
  });

  test('is left as it was by down: nothing of the syncing stays here', async () => {
    await stack.must(['down', '-t', '1']);
    expect(execFileSync('find', [join(stack.dir, 'src'), '-name', '*hypr*'], { encoding: 'utf8' })).toBe('');
  });
});
