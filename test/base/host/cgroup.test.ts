import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { confine, findCgroup, limitFiles, onceFound, removeCgroup } from '../../../base/host/cgroup.ts';

// Folders and files in the shape of cgroup v2: the seam, because few hosts of tests let their user have the real ones.
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-cgroup-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const files = (own: string, root = '/') => {
  const [self, mounts] = [join(dir, 'self'), join(dir, 'mounts')];
  writeFileSync(self, `4:memory:/elsewhere\n0::${own}\n`);
  writeFileSync(mounts, `25 1 0:22 / /proc rw - proc proc rw\n30 1 0:26 ${root} ${join(dir, 'fs')} rw,nosuid - cgroup2 cgroup2 rw\n`);
  return { self, mounts };
};

const folder = (path: string, controllers: string): string => {
  const made = join(dir, 'fs', path);
  mkdirSync(made, { recursive: true });
  writeFileSync(join(made, 'cgroup.subtree_control'), `${controllers}\n`);
  writeFileSync(join(made, 'cgroup.procs'), '');
  return made;
};

describe('where machines get cgroups', () => {
  test('is the nearest folder above the own one that has the memory controller', async () => {
    folder('', 'cpu memory pids');
    const slice = folder('user/app', 'memory pids');
    folder('user/app/term', '');
    folder('user', 'cpu memory pids');
    expect(await findCgroup(files('/user/app/term'))).toEqual({ folder: slice, controllers: ['memory', 'pids'] });
    rmSync(join(slice, 'cgroup.procs'));
    expect(await findCgroup(files('/user/app/term'))).toMatchObject({ controllers: ['memory', 'cpu', 'pids'] });
  });

  test('is inside what is mounted, where that is a part only', async () => {
    const whole = folder('', 'memory');
    folder('box', '');
    expect(await findCgroup(files('/pod/box', '/pod'))).toEqual({ folder: whole, controllers: ['memory'] });
  });

  test('is nowhere without the controller, without the right to move, and without cgroup v2', async () => {
    folder('', 'cpu');
    folder('user', '');
    expect(await findCgroup(files('/user'), async () => 'no manager')).toBe(
      "no folder above /user is this user's and has the memory controller, and no manager",
    );
    const manager = { bus: 'unix:path=/bus', controllers: ['memory'] };
    expect(await findCgroup(files('/user'), async () => manager)).toBe(manager);
    expect(await findCgroup({ self: join(dir, 'none'), mounts: join(dir, 'none') })).toBe('this host has no cgroup v2');
    const old = files('/user');
    writeFileSync(old.mounts, '30 1 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n');
    expect(await findCgroup(old)).toBe('this host has no cgroup v2');
  });
});

test('a search for the place that fails is a reason, and is made again for the next machine; what is found is kept', async () => {
  folder('', 'cpu');
  folder('user', '');
  expect(await findCgroup(files('/user'), () => Promise.reject(new Error('spawn busctl EAGAIN')))).toContain('and spawn busctl EAGAIN');
  const place = { folder: dir, controllers: ['memory'] };
  const find = vi.fn(async () => place as typeof place | string).mockResolvedValueOnce('no process can be started');
  const once = onceFound(find);
  expect([await once(), await once(), await once()]).toEqual(['no process can be started', place, place]);
  expect(find).toHaveBeenCalledTimes(2);
});

const limits = { memoryBytes: 2 ** 30, cpus: 3, tasks: 512 };
const machine = { name: 'shop-db-1', runDir: '/run/m-1', limits };

/** A process with a child. */
const withChild = async () => {
  const parent = spawn('sh', ['-c', 'sleep 600 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = await once(parent.stdout, 'data');
  const child = Number(String(line));
  const end = () => {
    for (const pid of [child, parent.pid ?? 0]) {
      process.kill(pid, 'SIGKILL');
    }
  };
  return { parent: parent.pid ?? 0, child, end };
};

test('processes get one with their limits, and what they have started is in it, too', async () => {
  const place = { folder: folder('slice', 'memory cpu pids'), controllers: ['memory', 'cpu', 'pids'] };
  const { parent, child, end } = await withChild();
  try {
    const moved: string[] = [];
    const made = await confine([parent], machine, place, async (path, pid) => void moved.push(`${path} ${pid}`));
    expect(made).toMatch(/\/slice\/hypr-shop-db-1-[0-9a-z]+$/);
    const read = (file: string) => readFileSync(join(made ?? '', file), 'utf8');
    expect(['memory.max', 'memory.oom.group', 'cpu.max', 'pids.max'].map(read)).toEqual([String(2 ** 30), '1', '300000 100000', '512']);
    expect(moved).toEqual([parent, child].map((pid) => `${made}/cgroup.procs ${pid}`));
  } finally {
    end();
  }
});

const errno = (code: string) => Object.assign(new Error(code), { code });

test('a process that has ended keeps none of the others out', async () => {
  const place = { folder: folder('slice', 'memory'), controllers: ['memory'] };
  const moved: string[] = [];
  const move = async (_file: string, pid: string) => {
    if (pid === '2147483646') {
      throw errno('ESRCH');
    }
    moved.push(pid);
  };
  expect(await confine([2147483645, 2147483646, 2147483647], machine, place, move)).toContain('/slice/hypr-shop-db-1-');
  expect(moved).toEqual(['2147483645', '2147483647']);
});

test('one is removed once the last of its processes has ended, and what fails otherwise fails nothing', async () => {
  const remove = vi.fn(async () => {});
  remove.mockRejectedValueOnce(errno('EBUSY')).mockRejectedValueOnce(errno('EBUSY'));
  await removeCgroup(dir, remove);
  expect(remove).toHaveBeenCalledTimes(3);
  await removeCgroup(join(dir, 'none'));
});

test('only what the folder has is limited', () => {
  expect(limitFiles(limits, ['memory'])).toEqual([['memory.max', String(2 ** 30)]]);
  expect(limitFiles({ ...limits, memoryBytes: undefined }, ['memory'])).toEqual([]);
});

test('nothing fails where there is none, or it cannot be made', async () => {
  expect(await confine([4321], machine, 'this host has no cgroup v2')).toBeUndefined();
  writeFileSync(join(dir, 'file'), '');
  expect(await confine([4321], machine, { folder: join(dir, 'file'), controllers: ['memory'] })).toBeUndefined();
  expect(await confine([4321], machine, { bus: `unix:path=${join(dir, 'none')}`, controllers: ['memory'] })).toBeUndefined();
});
