import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { diskUsage } from '../../base/host/disk-usage.ts';
import { listFolder } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import type { HomePaths } from '../../base/paths.ts';
import { stackPaths } from '../model/stack-paths.ts';
import { openStateReader } from '../state/store.ts';

interface Pruned {
  readonly names: readonly string[];
  readonly bytes: number;
}

const NOTHING: Pruned = { names: [], bytes: 0 };

/**
 * Removes anonymous volumes of stacks that no longer exist. A known stack may still need its own. An `up` that begins meanwhile has its
 * supervisor, which holds the stack's lock, before it makes a disk: each stack is looked up again under that lock.
 */
export const pruneVolumes = async (paths: HomePaths): Promise<Pruned> => {
  const all: Pruned[] = [];
  for (const stack of await listFolder(paths.machines)) {
    if (!isKnown(paths, stack)) {
      all.push(await ifFree(stack, async () => (isKnown(paths, stack) ? NOTHING : await removeDisks(join(paths.machines, stack)))));
    }
  }
  return { names: all.flatMap(({ names }) => names), bytes: all.reduce((sum, { bytes }) => sum + bytes, 0) };
};

const isKnown = (paths: HomePaths, stack: string): boolean => {
  const state = openStateReader(paths.database);
  try {
    return state.stack(stack) !== undefined || state.vms(stack).length > 0;
  } finally {
    state.close();
  }
};

/** Nothing of a stack whose supervisor runs. */
const ifFree = async (stack: string, work: () => Promise<Pruned>): Promise<Pruned> => {
  const { lock, runDir } = stackPaths(stack);
  try {
    return await withLock(lock, { what: `the stack ${stack}`, timeout: 0 }, work);
  } catch (error) {
    if (error instanceof HyprError && error.code === 'HYPR_LOCKED') {
      return NOTHING;
    }
    throw error;
  } finally {
    // Only an empty folder goes: not that of a supervisor.
    await rmdir(runDir).catch(() => {});
  }
};

const removeDisks = async (folder: string): Promise<Pruned> => {
  const names: string[] = [];
  let bytes = 0;
  for (const replica of await listFolder(folder)) {
    const path = join(folder, replica);
    bytes += await diskUsage(path);
    const anonymous = (await listFolder(path)).filter((name) => name.startsWith('anon-'));
    names.push(...anonymous.map((name) => `${replica}/${name.replace(/\.ext4$/, '')}`));
    await rm(path, { recursive: true, force: true });
  }
  await rm(folder, { recursive: true, force: true });
  return { names, bytes };
};
