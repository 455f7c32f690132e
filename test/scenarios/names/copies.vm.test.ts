import { cpSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { mustRun } from '../../../base/host/process.ts';
import { root as checkout, hypr, mustHypr } from '../../support/cli.ts';
import { freePort } from '../../support/free-port.ts';
import { askEdgeFor, textOf } from './edge-client.ts';

const PORT = await freePort();
/** HYPR_TEST_COPIES=10 needs some 10 GiB of memory. */
const COPIES = Number(process.env.HYPR_TEST_COPIES ?? 3);

describe('the same project in several git worktrees', () => {
  let folder: string;
  const branches = Array.from({ length: COPIES - 1 }, (_, at) => `feature-${at + 1}`);
  const names = ['shop', ...branches.map((branch) => `shop-${branch}`)];
  const dirOf = (name: string) => join(folder, name);
  const env = { HYPR_HOME: inject('hyprHome'), HYPR_REGISTRY_MIRRORS: inject('mirrors'), HYPR_EDGE_PORT: String(PORT), HYPR_DNS_PORT: '0' };
  const git = (...args: string[]) =>
    mustRun('git', ['-C', dirOf('shop'), '-c', 'user.name=test', '-c', 'user.email=test@example.com', ...args]);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-copies-'));
    cpSync(join(checkout, 'fixtures/shop'), dirOf('shop'), { recursive: true });
    await git('init', '-q', '-b', 'main');
    await git('add', '-A');
    await git('commit', '-qm', 'shop');
    for (const branch of branches) {
      await git('worktree', 'add', '-q', '-b', branch, dirOf(`shop-${branch}`));
    }
    await Promise.all(names.map((name) => writeFile(join(dirOf(name), 'web/static/which.txt'), `${name}\n`)));
  }, 600_000);
  afterAll(async () => {
    await Promise.all(names.map((name) => hypr(['compose', 'down', '-v', '-t', '1'], { cwd: dirOf(name), env })));
    await rm(folder, { recursive: true, force: true });
  });

  test('are stacks of their own that answer under names of their own, at the same time', async () => {
    // The first one has the name that the file says.
    const up = (name: string) =>
      mustHypr(['compose', 'up', '-d', '--wait', '--ports', 'auto'], { cwd: dirOf(name), env, timeout: 560_000 });
    // One after the other: the processors of a host of tests are emulated, and few.
    for (const name of names) {
      await up(name);
    }
    const ask = async (name: string, path: string) => textOf(await askEdgeFor(`http://web.${name}.localhost:${PORT}${path}`));
    const files = await Promise.all(names.map((name) => ask(name, '/static/which.txt')));
    expect(files).toEqual(names.map((name) => `${name}\n`));
    const pages = await Promise.all(names.map((name) => ask(name, '/')));
    expect(pages).toEqual(names.map(() => expect.stringMatching(/PostgreSQL/i)));
    const urls = await Promise.all(names.map((name) => mustHypr(['url', 'web'], { cwd: dirOf(name), env })));
    expect(urls).toEqual(names.map((name) => `http://web.${name}.localhost:${PORT}/\n`));
  }, 600_000);
});
