import { constants } from 'node:fs';
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { shortHash } from '../../base/paths.ts';

const log = logger('vmm');

/** A folder of cgroup v2 in which this user may make others, and the controllers that those have. */
export interface CgroupPlace {
  readonly folder: string;
  readonly controllers: readonly string[];
}

/** Where the kernel tells of them; tests give their own. */
export interface CgroupFiles {
  readonly self: string;
  readonly mounts: string;
}

const FILES: CgroupFiles = { self: '/proc/self/cgroup', mounts: '/proc/self/mountinfo' };
const LIMITED: readonly string[] = ['memory', 'cpu', 'pids'];

/**
 * Finds the nearest folder above this process's own whose children get the memory controller and in which this user may make one:
 * processes may only be moved below a folder that is theirs (Documentation/admin-guide/cgroup-v2.rst, Delegation). Otherwise the reason.
 */
export const findCgroup = async (files: CgroupFiles = FILES): Promise<CgroupPlace | string> => {
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
  return `no folder above ${own} is this user's and has the memory controller`;
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

/** What one machine may use of its host: its guest's memory and what QEMU needs besides, and a processor more than its guest has. */
export interface CgroupLimits {
  readonly memoryMib: number;
  readonly vcpus: number;
  /** What it writes to its disks is memory as well, and counted as its own: no limit of memory can be given. */
  readonly disksInMemory?: boolean;
  /** Emulated guests need room for their translated code. */
  readonly accelerated: boolean;
}

/** QEMU's own memory, and what it translates guest code to (1 GiB at most). */
const OWN_MIB = { accelerated: 512, emulated: 1536 };
const PERIOD_US = 100_000;
/** Threads; it may start no processes. */
const MOST_TASKS = 512;

/** Pure: files of a cgroup and what is written to them, for the controllers that it has. */
export const limitFiles = (
  { memoryMib, vcpus, accelerated, disksInMemory }: CgroupLimits,
  controllers: readonly string[],
): Array<[string, string]> => {
  const own = accelerated ? OWN_MIB.accelerated : OWN_MIB.emulated;
  // Tables of pages, of QEMU and of KVM, grow with the guest's memory.
  const bytes = (memoryMib + Math.ceil(memoryMib / 64) + own) * 2 ** 20;
  const all: Array<[string, string, string]> = [
    ...(disksInMemory === true ? [] : [['memory', 'memory.max', String(bytes)] as [string, string, string]]),
    ['cpu', 'cpu.max', `${(vcpus + 1) * PERIOD_US} ${PERIOD_US}`],
    ['pids', 'pids.max', String(MOST_TASKS)],
  ];
  return all.flatMap(([controller, file, value]) => (controllers.includes(controller) ? [[file, value] as [string, string]] : []));
};

let found: Promise<CgroupPlace | string> | undefined;

/**
 * Puts a process into a cgroup of its own with these limits, and returns its folder; undefined where this user may have none, which is
 * no reason not to start a machine. `place` is for tests.
 */
export const confine = async (
  pid: number,
  { name, runDir, ...limits }: CgroupLimits & { readonly name: string; readonly runDir: string },
  place?: CgroupPlace | string,
): Promise<string | undefined> => {
  found ??= findCgroup();
  const parent = place ?? (await found);
  if (typeof parent === 'string') {
    return undefined;
  }
  const folder = join(parent.folder, `hypr-${name}-${shortHash(runDir, 8)}`);
  try {
    await mkdir(folder, { recursive: true });
    for (const [file, value] of limitFiles(limits, parent.controllers)) {
      await writeFile(join(folder, file), value);
    }
    await writeFile(join(folder, 'cgroup.procs'), String(pid));
    return folder;
  } catch (error) {
    log.warn('a machine has no cgroup', { machine: name, reason: messageOf(error) });
    await removeCgroup(folder);
    return undefined;
  }
};

/** After its process is gone. */
export const removeCgroup = async (folder: string): Promise<void> => {
  await rmdir(folder).catch(() => {});
};

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
