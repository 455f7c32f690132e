import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { withLock } from '../../../base/host/lock.ts';
import { homePaths } from '../../../base/paths.ts';
import { pruneVolumes } from '../../../engine/client/prune-volumes.ts';
import { stackPaths } from '../../../engine/model/stack-paths.ts';
import { openStateStore } from '../../../engine/state/store.ts';
import { Cue } from '../support/cue.ts';
import { projectOf } from '../support/project.ts';

afterEach(() => vi.unstubAllEnvs());

const openHome = async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hypr-prune-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  vi.stubEnv('HYPR_HOME', join(dir, 'home'));
  vi.stubEnv('HYPR_RUNTIME_DIR', join(dir, 'r'));
  const paths = homePaths();
  const store = openStateStore(paths.database);
  onTestFinished(() => store.close());
  const disk = join(paths.machines, 'shop', 'shop-db-1', 'anon-1.ext4');
  await mkdir(join(disk, '..'), { recursive: true });
  await writeFile(disk, 'data');
  const isThere = () =>
    access(disk).then(
      () => true,
      () => false,
    );
  return { paths, store, isThere };
};

test('volume prune › takes the disks of a stack that is gone', async () => {
  const { paths, isThere } = await openHome();
  expect(await pruneVolumes(paths)).toMatchObject({ names: ['shop-db-1/anon-1'] });
  expect(await isThere()).toBe(false);
});

test('volume prune › leaves the disks of a stack whose supervisor has just begun, and those of one that is known', async () => {
  const { paths, store, isThere } = await openHome();
  const over = new Cue();
  const held = new Cue();
  const supervisor = withLock(stackPaths('shop').lock, { what: 'the stack shop' }, async () => {
    held.resolve();
    await over.promise;
  });
  await held.promise;
  // Its row is not written yet: only the lock tells of it.
  expect(await pruneVolumes(paths)).toEqual({ names: [], bytes: 0 });
  store.putStack({ name: 'shop', workingDir: '/', files: [], project: projectOf({ db: {} }), supervisor: undefined, createdAt: 1 });
  over.resolve();
  await supervisor;
  expect(await pruneVolumes(paths)).toEqual({ names: [], bytes: 0 });
  expect(await isThere()).toBe(true);
});
