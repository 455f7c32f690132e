import { link, mkdir, mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { diskUsage } from '../../../base/host/disk-usage.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-usage-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const KIB = 1024;

test('what the disk really gives: no holes, several names once, no targets of links', async () => {
  await mkdir(join(folder, 'below', 'deeper'), { recursive: true });
  await writeFile(join(folder, 'below', 'deeper', 'full'), Buffer.alloc(64 * KIB, 1));
  const sparse = await open(join(folder, 'sparse'), 'w');
  await sparse.truncate(2 ** 40);
  await sparse.write(Buffer.alloc(4 * KIB, 1), 0, 4 * KIB, 2 ** 39);
  await sparse.sync();
  await sparse.close();
  await link(join(folder, 'below', 'deeper', 'full'), join(folder, 'again'));
  await symlink('below/deeper/full', join(folder, 'link'));
  const usage = await diskUsage(folder);
  expect(usage).toBeGreaterThanOrEqual(68 * KIB);
  expect(usage).toBeLessThan(110 * KIB);
  const counted = new Set<string>();
  const [first, second] = [await diskUsage(join(folder, 'again'), counted), await diskUsage(join(folder, 'below'), counted)];
  expect([first, second]).toEqual([64 * KIB, 0]);
});

test('what is not there takes nothing', async () => {
  expect(await diskUsage(join(folder, 'none'))).toBe(0);
});
