import { constants } from 'node:fs';
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sleep, withDeadline } from '../deadline.ts';
import { isErrno, messageOf } from '../errors.ts';
import { logger } from '../log.ts';
import { shortHash } from '../paths.ts';
import { exists } from './files.ts';
import { findUserManager, type ProcessLimits, startScope, type UserManager } from './user-scope.ts';

const log = logger('cgroup');

/** Where processes get cgroups of their own: in a folder of cgroup v2 in which this user may make others, or from this user's systemd. */
export type CgroupPlace = { readonly folder: string; readonly controllers: readonly string[] } | UserManager;

/** Where the kernel tells of them; tests give their own. */
export interface CgroupFiles {
  readonly self: string;
  readonly mounts: string;
}

const FILES: CgroupFiles = { self: '/proc/self/cgroup', mounts: '/proc/self/mountinfo' };
const LIMITED: readonly string[] = ['memory', 'cpu', 'pids'];

/**
 * Finds the nearest folder above this process's own whose children get the memory controller and in which this user may make one:
 * processes may only be moved below a folder that is theirs (Documentation/admin-guide/cgroup-v2.rst, Delegation). Otherwise this user's
 * systemd (`manager`), which may move them; otherwise the reason. Never rejects.
 */
export const findCgroup = async (files: CgroupFiles = FILES, manager = findUserManager): Promise<CgroupPlace | string> => {
  const own = /^0::(.*)$/m.exec(await text(files.self))?.[1];
  const mount = mountOf(await text(files.mounts));
  if (own === undefined || mount === undefined) {
    return 'this host has no cgroup v2';
  }
  const inside = mount.root !== '/' && own.startsWith(mount.root) ? own.slice(mount.root.length) : own;
  for (const folder of foldersAbove(join(mount.point, inside), mount.point)) {
    const controllers = (await text(join(folder, 'cgroup.subtree_control'))).trim().split(/\s+/);
    if (controllers.includes('memory') && (await mayMove(folder))) {
      return { folder, controllers: LIMITED.filter((each) => controllers.includes(each)) };
    }
  }
  const found = await manager(mount.point).catch(messageOf);
  return typeof found === 'string' ? `no folder above ${own} is this user's and has the memory controller, and ${found}` : found;
};

/** Nearest first. The topmost is a place for others even where processes are in it. */
function* foldersAbove(own: string, top: string): Generator<string> {
  let folder = own.replace(/\/+$/, '');
  while (folder !== top && folder.startsWith(`${top}/`)) {
    folder = dirname(folder);
    yield folder;
  }
  if (own.replace(/\/+$/, '') === top) {
    yield top;
  }
}

const PERIOD_US = 100_000;

/** Pure: files of a cgroup and what is written to them, for the controllers that it has. */
export const limitFiles = ({ memoryBytes, cpus, tasks }: ProcessLimits, controllers: readonly string[]): Array<[string, string]> => {
  const all: Array<[string, string, string]> = [
    ...(memoryBytes === undefined ? [] : [['memory', 'memory.max', String(memoryBytes)] as [string, string, string]]),
    ['cpu', 'cpu.max', `${cpus * PERIOD_US} ${PERIOD_US}`],
    ['pids', 'pids.max', String(tasks)],
  ];
  return all.flatMap(([controller, file, value]) => (controllers.includes(controller) ? [[file, value] as [string, string]] : []));
};

/** Keeps what `find` has found. A reason why there is nothing is not kept: it may have been a lack of processes that passes. */
export const onceFound = (find: () => Promise<CgroupPlace | string>): (() => Promise<CgroupPlace | string>) => {
  let kept: Promise<CgroupPlace | string> | undefined;
  return async () => {
    kept ??= find();
    const found = await kept;
    if (typeof found === 'string') {
      kept = undefined;
    }
    return found;
  };
};

const ownPlace = onceFound(findCgroup);

export interface Confined {
  readonly limits: ProcessLimits;
  /** Of the cgroup, for people. */
  readonly name: string;
  /** Tells those of the same name apart. */
  readonly runDir: string;
}

/**
 * Puts processes and their children into a cgroup of their own with these limits. Gives its folder if that is to be removed after their end
 * (`removeCgroup`); undefined where this user may have none, which is no reason not to go on, and where systemd removes it. `place` and `move` are for tests.
 */
export const confine = async (
  pids: readonly number[],
  { limits, name, runDir }: Confined,
  place?: CgroupPlace | string,
  move: (file: string, pid: string) => Promise<void> = (file, pid) => writeFile(file, pid),
): Promise<string | undefined> => {
  const parent = place ?? (await ownPlace());
  if (typeof parent === 'string') {
    return undefined;
  }
  const all = (await Promise.all(pids.map(withChildren))).flat();
  const label = `hypr-${name}-${shortHash(`${runDir} ${pids[0]}`, 8)}`;
  if ('bus' in parent) {
    const reason = await scopeOf(parent, `${label}.scope`, { pids: all, limits }).catch(messageOf);
    if (reason !== undefined) {
      log.warn('no cgroup', { name, reason });
    }
    return undefined;
  }
  const folder = join(parent.folder, label);
  try {
    await mkdir(folder, { recursive: true });
    for (const [file, value] of limitFiles(limits, parent.controllers)) {
      await writeFile(join(folder, file), value);
    }
    // Whoever of them is the kernel's victim, a machine ends as one. Kernels before 4.19 do not have it.
    await writeFile(join(folder, 'memory.oom.group'), '1').catch((error: unknown) =>
      log.debug('no memory.oom.group', { reason: messageOf(error) }),
    );
    for (const pid of all) {
      await move(join(folder, 'cgroup.procs'), String(pid)).catch(unlessEnded);
    }
    return folder;
  } catch (error) {
    log.warn('no cgroup', { name, reason: messageOf(error) });
    // Some of the processes may be in it: it is removed after their end then.
    return rmdir(folder).then(
      () => undefined,
      (failed: unknown) => (isErrno(failed, 'EBUSY') ? folder : undefined),
    );
  }
};

/** systemd refuses all of them where one has ended: the others are given to it again. */
const scopeOf = async (
  manager: UserManager,
  unit: string,
  { pids, limits }: { readonly pids: readonly number[]; readonly limits: ProcessLimits },
): Promise<string | undefined> => {
  const reason = await startScope(manager, unit, { pids, limits });
  const there = await Promise.all(pids.map((pid) => exists(`/proc/${pid}`)));
  const living = pids.filter((_, index) => there[index]);
  return reason === undefined || living.length === pids.length || living.length === 0
    ? reason
    : scopeOf(manager, unit, { pids: living, limits });
};

/** A process may end between the list and the move; the others are moved all the same. */
const unlessEnded = (error: unknown): void => {
  if (!isErrno(error, 'ESRCH')) {
    throw error;
  }
};

/** A process and what it has started: moved one by one, because a cgroup has processes, not trees of them. */
const withChildren = async (pid: number): Promise<number[]> => {
  const children = (await text(`/proc/${pid}/task/${pid}/children`)).trim();
  const below = children === '' ? [] : await Promise.all(children.split(' ').map((child) => withChildren(Number(child))));
  return [pid, ...below.flat()];
};

const REMOVE_MS = 2_000;

/**
 * After its processes have been ended: the kernel keeps it while the last of them, such as the sandboxed child of a daemon, still ends (EBUSY).
 * Never rejects; takes two seconds at most. `remove` is for tests.
 */
export const removeCgroup = async (folder: string, remove: (folder: string) => Promise<void> = rmdir): Promise<void> => {
  const removed = withDeadline({ ms: REMOVE_MS, what: `the end of the processes in ${folder}` }, async (signal) => {
    for (let wait = 5; await remove(folder).then(() => false, isBusy); wait = Math.min(wait * 2, 100)) {
      await sleep(wait, signal);
    }
  });
  await removed.catch((error: unknown) => log.warn('a cgroup is left', { folder, reason: messageOf(error) }));
};

const isBusy = (error: unknown): boolean => isErrno(error, 'EBUSY');

const mayMove = (folder: string): Promise<boolean> =>
  Promise.all([folder, join(folder, 'cgroup.procs')].map((path) => access(path, constants.W_OK))).then(
    () => true,
    () => false,
  );

/** Where cgroup v2 is mounted, and which of its folders (proc(5), mountinfo). */
const mountOf = (mounts: string): { readonly root: string; readonly point: string } | undefined => {
  for (const line of mounts.split('\n')) {
    const [front = '', back = ''] = line.split(' - ');
    const [, , , root, point] = front.split(' ');
    if (back.startsWith('cgroup2 ') && root !== undefined && point !== undefined) {
      return { root, point };
    }
  }
  return undefined;
};

const text = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
