import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { exists, listFolder } from '../../base/host/files.ts';
import { sweepLocks, withLock } from '../../base/host/lock.ts';
import type { HomePaths } from '../../base/paths.ts';
import { sweepMakerFolders } from './leftovers.ts';
import { discardTemplate, lockPath, readDescription, templatesFolder } from './store.ts';

/** How many rooted templates are kept when another one is made; each takes a hundred megabytes. */
const MAX_ROOTED = 12;
const DAY_MS = 86_400_000;

/** Runs `work`, unless another process is making the template. */
export const ifUnlocked = async (lock: string, work: () => Promise<void>): Promise<void> => {
  try {
    await withLock(lock, { what: 'a machine template', timeout: 0 }, work);
  } catch (error) {
    if (!(error instanceof HyprError && error.code === 'HYPR_LOCKED')) {
      throw error;
    }
  }
};

/**
 * Removes the templates of other toolchains, those whose root disk is gone, the least recently used rooted ones beyond
 * the limit, and leftovers of killed makers. Returns the names of the removed templates. Several processes may do this
 * at the same time.
 */
export const pruneTemplates = async (paths: HomePaths, toolchain: string): Promise<string[]> => {
  const root = templatesFolder(paths);
  const names = await listFolder(root);
  const removed = await findUseless(root, names, toolchain);
  for (const name of removed) {
    await discardTemplate(root, name);
  }
  for (const name of names) {
    await sweepLeftover(paths, name);
  }
  await sweepLocks(paths.locks);
  await sweepMakerFolders();
  return removed;
};

/** Whether an entry of the templates folder is a template. */
export const isTemplateName = (name: string): boolean => /^[0-9a-f]+$/.test(name);

/** Those of `names` that will not be used again. */
export const findUseless = async (root: string, names: readonly string[], toolchain: string): Promise<string[]> => {
  const useless: string[] = [];
  const rooted: Array<{ name: string; usedAt: number }> = [];
  for (const name of names.filter(isTemplateName)) {
    const known = await readDescription(join(root, name));
    if (known?.toolchain !== toolchain || (known.root !== undefined && !(await exists(known.root)))) {
      useless.push(name);
    } else if (known.root !== undefined) {
      rooted.push({ name, usedAt: known.usedAt });
    }
  }
  rooted.sort((a, b) => b.usedAt - a.usedAt);
  return [...useless, ...rooted.slice(MAX_ROOTED).map(({ name }) => name)];
};

/** A half-removed template, the staging folder of a dead maker, or failure counts of a template that is gone. */
const sweepLeftover = async (paths: HomePaths, name: string): Promise<void> => {
  const path = join(templatesFolder(paths), name);
  const remove = () => rm(path, { recursive: true, force: true });
  const key = name.replace(/\..*$/, '');
  if (name.endsWith('.gone')) {
    await remove();
  } else if (name.endsWith('.making')) {
    await ifUnlocked(lockPath(paths, key), remove);
  } else if (name.endsWith('.failures') && !(await exists(join(templatesFolder(paths), key)))) {
    const since = await stat(path).catch(() => undefined);
    if (since !== undefined && Date.now() - since.mtimeMs > DAY_MS) {
      await remove();
    }
  }
};
