import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makePrivate } from '../../../base/host/apt.ts';

test('what apt has left is made private, and what has gone meanwhile is passed over', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-apt-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'partial'), { mode: 0o777 });
  // To chmod a link that leads nowhere is to chmod a file that another process has just moved.
  await symlink(join(folder, 'nowhere'), join(folder, 'moved.deb'));
  await writeFile(join(folder, 'partial/x.deb'), 'x', { mode: 0o666 });
  await makePrivate(folder);
  const modes = await Promise.all(['', 'partial', 'partial/x.deb'].map(async (name) => (await stat(join(folder, name))).mode & 0o777));
  expect(modes).toEqual([0o700, 0o700, 0o600]);
});
