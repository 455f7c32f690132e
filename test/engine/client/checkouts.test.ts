import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { type CheckoutRequest, findCheckout } from '../../../engine/client/checkouts.ts';
import { openStateStore } from '../../../engine/state/store.ts';

let root: string;
let paths: ReturnType<typeof homePaths>;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hypr-checkouts-'));
  paths = homePaths(join(root, 'home'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const services = ['api', 'db', 'web'];

const folder = async (name: string, files: Readonly<Record<string, string>> = {}): Promise<string> => {
  await mkdir(join(root, name), { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, name, path, '..'), { recursive: true });
    await writeFile(join(root, name, path), text);
  }
  return join(root, name);
};

const find = (workingDir: string, more: Partial<CheckoutRequest> = {}) =>
  findCheckout({ name: 'shop', workingDir, services, claim: false, ...more }, paths);

/** What an `up` in this folder does: it claims the name, and then there are machines. */
const up = async (workingDir: string, more: Partial<CheckoutRequest> = {}): Promise<string> => {
  const { name } = await find(workingDir, { claim: true, ...more });
  await mkdir(join(paths.machines, name), { recursive: true });
  return name;
};
const addVolume = (stack: string, name: string): void => {
  const store = openStateStore(paths.database);
  store.putVolume({ name, stack, key: 'data', form: 'disk', path: join(paths.volumes, name), labels: {}, createdAt: 1 });
  store.close();
};
const down = (name: string) => rm(join(paths.machines, name), { recursive: true });

/** As if the commands that made the claims had ended. */
const forgetCommands = async () => {
  const { readdir, readFile } = await import('node:fs/promises');
  for (const file of await readdir(join(paths.home, 'checkouts'))) {
    const path = join(paths.home, 'checkouts', file);
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), by: undefined }));
  }
};

describe('the stack of a folder', () => {
  test('is called what its files say, while no other folder has a stack of that name', async () => {
    const [a, b] = [await folder('a/shop'), await folder('b/shop')];
    expect(await find(a)).toEqual({ name: 'shop' });
    expect(await up(a)).toBe('shop');
    expect(await find(a)).toEqual({ name: 'shop' });
    await forgetCommands();
    await down('shop');
    expect(await find(b)).toEqual({ name: 'shop' });
  });

  test('is told apart while the other is up, and stays so after that has gone', async () => {
    const [a, b] = [await folder('a/shop'), await folder('b/shop')];
    await up(a);
    expect(await find(b)).toEqual({ name: 'shop-b', apartFrom: a });
    expect(await up(b)).toBe('shop-b');
    await forgetCommands();
    await down('shop');
    expect(await find(b)).toEqual({ name: 'shop-b' });
    expect(await up(a)).toBe('shop');
  });

  test('is told apart from one that is down and has data, not from a folder that is gone', async () => {
    const [a, b] = [await folder('a/shop'), await folder('b/shop')];
    await up(a);
    await forgetCommands();
    await down('shop');
    addVolume('shop', 'shop_data');
    expect(await find(b)).toEqual({ name: 'shop-b', apartFrom: a });
    await rm(a, { recursive: true });
    expect(await find(b)).toEqual({ name: 'shop' });
  });

  test('has no data of a stack whose name begins with its own', async () => {
    const [a, b] = [await folder('a/shop'), await folder('b/shop')];
    await up(a);
    await up(await folder('api'), { name: 'shop_api', services: ['api'] });
    await forgetCommands();
    await down('shop');
    addVolume('shop_api', 'shop_api_data');
    expect(await find(b)).toEqual({ name: 'shop' });
    addVolume('shop', 'shop_data');
    expect(await find(b)).toEqual({ name: 'shop-b', apartFrom: a });
  });

  test('has the name of its git worktree, its branch or its folder', async () => {
    const main = await folder('main', { '.git/HEAD': 'ref: refs/heads/main\n' });
    await up(main);
    const worktree = await folder('wt', { '.git': `gitdir: ${main}/.git/worktrees/Fix_42\n` });
    expect((await find(worktree)).name).toBe('shop-fix-42');
    const branch = await folder('clone/sub', { '../.git/HEAD': 'ref: refs/heads/feature/x\n' });
    expect((await find(branch)).name).toBe('shop-feature-x');
    const review = await folder('shop-review', { '.git/HEAD': 'ref: refs/heads/main\n' });
    expect((await find(review)).name).toBe('shop-review');
    const [one, two] = [await folder('x/shop'), await folder('y/x/shop')];
    expect([await up(one), await up(two)]).toEqual(['shop-x', 'shop-x-2']);
  });

  test('is shared by folders that have other services of the same project', async () => {
    await up(await folder('a/shop'));
    expect(await find(await folder('b/shop'), { services: ['mail', 'queue'] })).toEqual({ name: 'shop' });
    expect((await find(await folder('c/shop'), { services: ['api', 'db', 'web', 'mail'] })).name).toBe('shop-c');
  });

  test('is one of its own for each of ten folders that come up at the same time', async () => {
    const folders = await Promise.all(Array.from({ length: 10 }, (_, number) => folder(`c${number}/shop`)));
    const names = await Promise.all(folders.map((each) => up(each)));
    expect(new Set(names).size).toBe(10);
    expect(names.filter((name) => name === 'shop')).toHaveLength(1);
    expect(await Promise.all(folders.map(async (each) => (await find(each)).name))).toEqual(names);
  });

  test('does not hang on a broken record', async () => {
    const [a, b] = [await folder('a/shop'), await folder('b/shop')];
    await up(a);
    await writeFile(join(paths.home, 'checkouts/shop.json'), '{"name":');
    expect(await find(b)).toEqual({ name: 'shop' });
  });
});
