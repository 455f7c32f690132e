import { mkdirSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { copySparse } from '../../../vmm/devices/disks.ts';
import { tempDir } from '../support.ts';

afterEach(() => vi.unstubAllEnvs());

it.each(['with cp of coreutils', 'without cp'])('copies a disk and leaves its holes, %s', async (how) => {
  const folder = tempDir();
  const from = join(folder, 'from');
  await using file = await open(from, 'w');
  await file.truncate(64 << 20);
  await file.write('the end', (64 << 20) - 7);
  await file.write('something', 3 << 20);
  await file.sync();
  if (how === 'without cp') {
    mkdirSync(join(folder, 'empty'));
    vi.stubEnv('PATH', join(folder, 'empty'));
  }
  await copySparse(from, join(folder, 'to'));
  expect((await readFile(join(folder, 'to'))).equals(await readFile(from))).toBe(true);
  expect((await stat(join(folder, 'to'))).blocks * 512).toBeLessThan(8 << 20);
});
