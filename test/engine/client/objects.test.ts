import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { openObjects } from '../../../engine/client/objects.ts';
import { openStateStore } from '../../../engine/state/store.ts';

test('a volume whose disk cannot be looked at is listed, without its size', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-objects-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const paths = homePaths(dir);
  const disk = join(dir, 'a.img');
  writeFileSync(disk, '');
  truncateSync(disk, 3 << 20);
  const loop = join(dir, 'loop');
  symlinkSync(loop, loop);
  const store = openStateStore(paths.database);
  for (const [name, path] of Object.entries({ a: disk, b: loop, c: join(dir, 'gone') })) {
    store.putVolume({ name, stack: '', key: name, form: 'disk', path, labels: {}, createdAt: 1 });
  }
  store.close();
  const sizes = (await openObjects(paths).volumes()).map(({ name, sizeMib }) => [name, sizeMib]);
  expect(sizes).toEqual([
    ['a', 3],
    ['b', undefined],
    ['c', undefined],
  ]);
});
