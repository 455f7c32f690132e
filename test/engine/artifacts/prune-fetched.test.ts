import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fetchedFolder, pruneFetched, touchFetched } from '../../../engine/artifacts/prune-fetched.ts';

const LONG_AGO = new Date(Date.now() - 3 * 86_400_000);

const makeCache = async (names: readonly string[]): Promise<string> => {
  const cache = await mkdtemp(join(tmpdir(), 'hypr-fetched-'));
  onTestFinished(() => rm(cache, { recursive: true, force: true }));
  for (const name of names) {
    const folder = join(fetchedFolder(cache), name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'compose.yaml'), 'services: {}\n');
    await utimes(folder, LONG_AGO, LONG_AGO);
  }
  return cache;
};

describe('pruneFetched', () => {
  it('removes what no stack uses and nobody has used for a day', async () => {
    const cache = await makeCache(['old', 'of-a-stack', 'just-used', 'of-a-stack-too']);
    const root = fetchedFolder(cache);
    await touchFetched(cache, join(root, 'just-used', 'compose.yaml'));
    const freed = await pruneFetched(cache, [join(root, 'of-a-stack'), join(root, 'of-a-stack-too', 'deploy', 'compose.yaml')]);
    expect(freed).toBeGreaterThan(0);
    expect((await readdir(root)).sort()).toEqual(['just-used', 'of-a-stack', 'of-a-stack-too']);
  });

  it('takes no folder for another whose name begins alike', async () => {
    const cache = await makeCache(['abc']);
    await pruneFetched(cache, [join(fetchedFolder(cache), 'abcd')]);
    expect(await readdir(fetchedFolder(cache))).toEqual([]);
  });

  it('finds nothing where nothing was ever fetched', async () => {
    expect(await pruneFetched('/nowhere', [])).toBe(0);
  });
});
