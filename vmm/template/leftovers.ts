import { lstat, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { listFolder } from '../../base/host/files.ts';
import { findDeadLocks } from '../../base/host/lock.ts';
import { sweepPendingProcesses } from '../../base/host/pending-processes.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from '../../base/host/process.ts';
import { type HomePaths, runtimeDir } from '../../base/paths.ts';
import { lockPath, templatesFolder } from './store.ts';

/**
 * Run folders of machines that become templates begin with it, in the runtime folder. They do not name their process as
 * base/host/staging.ts does: sockets are in them, and 25 bytes more would leave long runtime folders no template, within the
 * 104 bytes of a socket's path, though their stacks' machines fit.
 */
export const MAKER_PREFIX = 't-';
const MAKER_FILE = 'maker';

/** Notes whose run folder this is: when that process is gone, the folder is a leftover. */
export const noteMaker = async (dir: string): Promise<void> => {
  await writeFile(join(dir, MAKER_FILE), JSON.stringify(identifyProcess(process.pid)), { mode: 0o600 });
};

/** A line for everything that killed makers of templates left behind. Reads only. */
export const findTemplateLeftovers = async (paths: HomePaths, runDir = runtimeDir()): Promise<string[]> => {
  const root = templatesFolder(paths);
  const unfinished = (await listFolder(root)).filter((name) => name.endsWith('.making') || name.endsWith('.gone'));
  const dead = (await findDeadLocks(paths.locks)).map(({ path }) => path);
  const held = await Promise.all(unfinished.map((name) => isHeld(lockPath(paths, name.replace(/\..*$/, '')), dead)));
  return [
    ...(await findDeadFolders(runDir)).map((path) => `${path}: of a machine that was to become a template`),
    ...unfinished.filter((_, index) => !held[index]).map((name) => `${join(root, name)}: a half made or half removed template`),
    ...dead
      .filter((path) => path.startsWith(lockPath(paths, '').replace(/\.lock$/, '')))
      .map((path) => `${path}: the lock of a template's maker`),
  ];
};

/** Removes the run folders of makers that are gone, and ends their machines. */
export const sweepMakerFolders = async (runDir = runtimeDir()): Promise<void> => {
  for (const path of await findDeadFolders(runDir)) {
    await sweepPendingProcesses(join(path, 'm'));
    await rm(path, { recursive: true, force: true });
  }
};

const isHeld = async (lock: string, dead: readonly string[]): Promise<boolean> => {
  try {
    await lstat(lock);
    return !dead.includes(lock);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return false;
    }
    throw error;
  }
};

const findDeadFolders = async (runDir: string): Promise<string[]> => {
  const names = (await readdir(runDir)).filter((name) => name.startsWith(MAKER_PREFIX));
  const found: string[] = [];
  for (const path of names.map((name) => join(runDir, name))) {
    if (await isDead(path)) {
      found.push(path);
    }
  }
  return found;
};

/** A folder is made an instant before its maker is noted in it. */
const YOUNG_MS = 60_000;

const isDead = async (path: string): Promise<boolean> => {
  try {
    return !isAlive(JSON.parse(await readFile(join(path, MAKER_FILE), 'utf8')) as ProcessIdentity);
  } catch (error) {
    if (!isErrno(error, 'ENOENT') && !(error instanceof SyntaxError)) {
      throw error;
    }
    const since = (await stat(path).catch(() => undefined))?.mtimeMs;
    return since !== undefined && Date.now() - since > YOUNG_MS;
  }
};
