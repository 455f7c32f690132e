import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BuildFolders } from '../../../../engine/docker/buildkit/build-folders.ts';
import { fetchInputs } from '../../../../engine/docker/buildkit/fetch-inputs.ts';
import { readReceived } from '../../../../engine/docker/buildkit/read-received.ts';
import type { Session } from '../../../../engine/docker/buildkit/sessions.ts';

let dir = '';
let folder = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-received-test-'));
  folder = join(dir, '1');
  mkdirSync(folder);
  // Its name begins as the folder's does.
  mkdirSync(join(dir, '1x'));
  writeFileSync(join(dir, '1x/secret'), 'of the host');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const read = (name: string): Promise<string | undefined> => readReceived(folder, name, new AbortController().signal);

test('a file of the client is read, also by a link that stays in its folder', async () => {
  mkdirSync(join(folder, 'sub'));
  writeFileSync(join(folder, 'sub/..data'), 'FROM x');
  symlinkSync('sub/..data', join(folder, 'Dockerfile'));
  expect(await read('Dockerfile')).toBe('FROM x');
  expect(await read('sub/../sub/..data')).toBe('FROM x');
  expect(await read('none')).toBeUndefined();
  expect(await read('Dockerfile/none')).toBeUndefined();
});

test.each([['/dev/zero'], ['/etc/passwd'], ['../1x/secret'], ['link']])('a link to %s is refused', async (target) => {
  symlinkSync(target, join(folder, 'link'));
  await expect(read('link')).rejects.toMatchObject({ status: 400 });
});

test('a link to a folder of the host is refused', async () => {
  symlinkSync('../1x', join(folder, 'sub'));
  await expect(read('sub/secret')).rejects.toThrow(/leads out/);
});

test('a folder and a file larger than 4 MiB are refused', async () => {
  mkdirSync(join(folder, 'sub'));
  await expect(read('sub')).rejects.toMatchObject({ status: 400 });
  writeFileSync(join(folder, 'large'), '');
  truncateSync(join(folder, 'large'), (4 << 20) + 1);
  await expect(read('large')).rejects.toThrow(/larger than 4 MiB/);
});

test.each(['../1x/secret', 'a/../../1x/secret', '..', '/etc/passwd'])(
  'a Dockerfile named %s is refused before anything is asked for',
  async (filename) => {
    await expect(read(filename)).rejects.toMatchObject({ status: 400 });
    await expect(
      fetchInputs({} as Session, { filename }, { contexts: folder, secrets: folder } as BuildFolders, new AbortController().signal),
    ).rejects.toThrow(/leaves the folder/);
  },
);
