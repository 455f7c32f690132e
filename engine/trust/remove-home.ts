import { existsSync } from 'node:fs';
import { readdir, realpath, rm, rmdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HyprError, isErrno } from '../../base/errors.ts';
import { BALLAST } from '../../base/host/ballast.ts';
import { homePaths, runtimeDir } from '../../base/paths.ts';
import { hasMachine } from '../model/lifecycle.ts';
import type { HomeContent, RemovedHome } from '../model/types.ts';
import { openStateStore } from '../state/store.ts';

const PASSES = 5;
const PASS_MS = 1000;

/** The stacks and volumes of the home. Throws HYPR_USAGE when nothing says that the folder is hypr's: its subfolders have common names. */
export const homeContent = async (): Promise<HomeContent> => {
  const { home, database, toolchain } = homePaths();
  if (!existsSync(database)) {
    if (existsSync(home) && !existsSync(join(toolchain, 'manifest.json'))) {
      throw new HyprError('HYPR_USAGE', `${home} is not a home of hypr: it has neither a database nor a toolchain`, {
        hint: 'check HYPR_HOME',
      });
    }
    return { stacks: [], volumes: [] };
  }
  const store = openStateStore(database);
  try {
    return { stacks: store.stacks().map(({ name }) => name), volumes: store.volumes().map(({ name }) => name) };
  } finally {
    store.close();
  }
};

/**
 * Removes everything that hypr made in its home and its folder for sockets, and the program itself where the install script put it.
 * What is not hypr's stays, and is named. Throws STACK_BUSY while machines run.
 */
export const removeHome = async (): Promise<RemovedHome> => {
  await homeContent();
  const { home, ...parts } = homePaths();
  if (existsSync(parts.database)) {
    refuseRunning(parts.database);
  }
  const sockets = runtimeDir();
  const own = [...Object.values(parts), join(home, BALLAST), `${parts.database}-wal`, `${parts.database}-shm`, sockets];
  // A supervisor whose stack has just gone may still write its last line.
  for (let pass = 0; pass < PASSES && (pass === 0 || own.some(existsSync)); pass++) {
    await sleep(pass === 0 ? 0 : PASS_MS);
    for (const path of own) {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    }
  }
  await removeEmpty(dirname(sockets));
  await removeEmpty(home);
  return { home, left: await listFolder(home), ...(await removeProgram()) };
};

const refuseRunning = (database: string): void => {
  const store = openStateStore(database);
  try {
    const running = store.stacks().filter(({ name }) => store.vms(name).some(({ state }) => hasMachine(state)));
    if (running.length > 0) {
      throw new HyprError('STACK_BUSY', `machines run: ${running.map(({ name }) => name).join(', ')}`, {
        hint: 'hypr down in their projects',
      });
    }
  } finally {
    store.close();
  }
};

/** `PREFIX/lib/hypr/VERSION/node_modules/hypr`, and the link `PREFIX/bin/hypr` to its program (scripts/install.sh). */
const removeProgram = async (): Promise<Pick<RemovedHome, 'program' | 'isProgramRemoved'>> => {
  const program = await realpath(dirname(dirname(fileURLToPath(import.meta.url))));
  const [, prefix] = /^(.*)\/lib\/hypr\/[^/]+\/node_modules\/hypr$/.exec(program) ?? [];
  if (prefix === undefined) {
    return { program, isProgramRemoved: false };
  }
  const link = join(prefix, 'bin', 'hypr');
  // Anybody may have a folder of that form; the script's has a link to it.
  if ((await realpath(link).catch(() => undefined)) !== join(program, 'bin', 'hypr')) {
    return { program, isProgramRemoved: false };
  }
  try {
    await unlink(link);
    await rm(dirname(dirname(program)), { recursive: true, force: true });
    await removeEmpty(join(prefix, 'lib', 'hypr'));
    return { program, isProgramRemoved: true };
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM', 'EROFS')) {
      return { program, isProgramRemoved: false };
    }
    throw error;
  }
};

const removeEmpty = (folder: string): Promise<void> =>
  rmdir(folder).catch((error: unknown) => {
    if (!isErrno(error, 'ENOTEMPTY', 'ENOENT', 'EACCES', 'EPERM', 'ENOTDIR')) {
      throw error;
    }
  });

const listFolder = (folder: string): Promise<string[]> =>
  readdir(folder).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  });
