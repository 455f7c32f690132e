import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { discardVolume } from '../../../engine/resources/discard-volume.ts';
import { projectOf } from '../support/project.ts';
import { openTestStack } from '../support/stack.ts';

const NONE = new AbortController().signal;
const MOUNT = { type: 'volume', source: 'data', target: '/data' } as const;
const project = projectOf({ web: { volumes: [MOUNT] } }, { volumes: { data: { name: 'data' } } });

const withVolume = async () => {
  const stack = openTestStack();
  const { volumes } = stack.supervisor;
  await volumes.create(project, 'data', NONE);
  const [row] = stack.store.volumes();
  if (row === undefined) {
    throw new Error('no volume');
  }
  return { stack, volumes, row, folder: dirname(dirname(row.path)) };
};

describe('the removal of a volume', () => {
  test('takes nothing of a new one of its name that is made meanwhile, in this process or another', async () => {
    const { stack, volumes, row, folder } = await withVolume();
    writeFileSync(row.path, 'old');
    const removed = volumes.remove('data');
    await volumes.create(project, 'data', NONE);
    expect(readFileSync(row.path, 'utf8')).toBe('data');
    writeFileSync(row.path, 'new');
    await removed;
    expect([readFileSync(row.path, 'utf8'), readdirSync(folder)]).toEqual(['new', ['data']]);
    expect(stack.store.volumes()).toHaveLength(1);
  });

  test('undoes itself where the database cannot be written, because the disk is full', async () => {
    const { stack, row, folder } = await withVolume();
    writeFileSync(row.path, 'precious');
    const { store } = stack;
    const full = {
      removeVolume: store.removeVolume,
      transaction: <T>(work: () => T) =>
        store.transaction((): T => {
          work();
          throw new Error('database or disk is full');
        }),
    };
    await expect(discardVolume(full, () => row)).rejects.toThrow('disk is full');
    expect([store.volumes().length, readFileSync(row.path, 'utf8'), readdirSync(folder)]).toEqual([1, 'precious', ['data']]);
  });

  test('also removes what a process left that was killed in the middle', async () => {
    const { volumes, folder } = await withVolume();
    mkdirSync(join(folder, '.removed-0123'));
    await volumes.remove('data');
    expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
  });
});

test('a volume that another stack made since the plan is left as it is', async () => {
  const { stack, volumes, row } = await withVolume();
  const other = { ...row, stack: 'other', form: 'folder' as const, path: join(dirname(row.path), 'data') };
  stack.store.putVolume(other);
  const made = vi.spyOn(stack.platform, 'makeDisk');
  await volumes.create(project, 'data', NONE);
  expect([stack.store.volumes(), made.mock.calls]).toEqual([[other], []]);
});
