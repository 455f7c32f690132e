import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../support/cli.ts';
import { freePort } from '../support/free-port.ts';
import { filesOf, processesOf, TestStack } from '../support/stack.ts';

const PORT = String(await freePort());
const url = `http://127.0.0.1:${PORT}/`;

describe('the shop: nginx, a built Node API, PostgreSQL, Redis, a migration', () => {
  let shop: TestStack;
  beforeAll(async () => {
    shop = new TestStack('shoptest', { SHOP_PORT: PORT });
    cpSync(join(root, 'fixtures', 'shop'), shop.dir, { recursive: true });
    await shop.must(['up', '-d', '--wait'], { timeout: 560_000 });
  });
  afterAll(() => shop.close());

  test('the page shows data that went through every service', async () => {
    const first = await (await fetch(url)).text();
    expect(first).toMatch(/PostgreSQL/i);
    expect(first).toMatch(/visit/i);
    const second = await (await fetch(url)).text();
    expect(second).not.toBe(first);
  });

  test('ps says what runs, what ended well and what is published', async () => {
    const states = Object.fromEntries((await shop.ps()).map((replica) => [replica.Service, `${replica.State} ${replica.ExitCode}`]));
    expect(states).toMatchObject({ web: 'running 0', api: 'running 0', db: 'running 0', migrate: 'exited 0' });
    const web = (await shop.ps()).find((replica) => replica.Service === 'web');
    expect(web?.Publishers.map((port) => port.PublishedPort)).toContain(Number(PORT));
  });

  test('exec gives output and exit code', async () => {
    expect(await shop.must(['exec', '-T', 'web', 'cat', '/etc/hostname'])).toMatch(/web/);
    expect((await shop.run(['exec', '-T', 'db', 'sh', '-c', 'exit 42'])).code).toBe(42);
    expect(await shop.must(['exec', '-T', '-e', 'GREETING=hello', 'db', 'sh', '-c', 'echo $GREETING'])).toBe('hello\n');
    expect(await shop.must(['exec', '-T', 'db', 'cat'], { input: 'through stdin' })).toBe('through stdin');
  });

  test('services find each other by name on the networks they share, and nobody else', async () => {
    expect(await shop.must(['exec', '-T', 'web', 'getent', 'hosts', 'API'])).toMatch(/^192\.168\./);
    expect(await shop.must(['exec', '-T', 'api', 'getent', 'hosts', 'db'])).toMatch(/^192\.168\./);
    expect((await shop.run(['exec', '-T', 'web', 'getent', 'hosts', 'db'])).code).not.toBe(0);
  });

  test('logs name their replica', async () => {
    const logs = await shop.must(['logs', '--no-color', 'db']);
    expect(logs).toMatch(/^db-1 +\| .*database system is ready/m);
  });

  test('down leaves nothing but volumes; rows are there again after the next up', async () => {
    await shop.must([
      'exec',
      '-T',
      'db',
      'psql',
      '-U',
      'shop',
      '-d',
      'shop',
      '-c',
      "create table kept (word text); insert into kept values ('still here')",
    ]);
    await shop.must(['down'], { timeout: 120_000 });
    expect(await processesOf('shoptest')).toEqual([]);
    expect(await filesOf('shoptest')).toEqual([]);
    await expect(fetch(url)).rejects.toThrow();
    await shop.must(['up', '-d', '--wait', 'db'], { timeout: 180_000 });
    expect(await shop.must(['exec', '-T', 'db', 'psql', '-U', 'shop', '-d', 'shop', '-tAc', 'select word from kept'])).toBe('still here\n');
    await shop.must(['down', '-v']);
    await shop.must(['up', '-d', '--wait', 'db'], { timeout: 180_000 });
    expect((await shop.run(['exec', '-T', 'db', 'psql', '-U', 'shop', '-d', 'shop', '-tAc', 'select word from kept'])).code).not.toBe(0);
  });
});
