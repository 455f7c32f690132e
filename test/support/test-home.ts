import { mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun } from '../../base/host/process.ts';
import { hyprHome, runtimeDir, shortHash } from '../../base/paths.ts';
import { hypr, mustHypr, root } from './cli.ts';

export interface TestHome {
  readonly dir: string;
  close(): Promise<void>;
}

/**
 * The HYPR_HOME that a run's tests share, so that an image is pulled once: never the user's, nor that of another run or
 * checkout. It has the user's toolchain and a copy of the plain templates, and goes with all that runs in it when it is
 * closed. HYPR_TEST_HOME names one that stays, which saves the pulls while one test is worked on.
 */
export const openTestHome = async (): Promise<TestHome> => {
  const kept = process.env.HYPR_TEST_HOME;
  await removeAbandoned();
  const dir = kept ?? join(tmpdir(), `${prefix()}${process.pid}`);
  await mkdir(join(dir, 'cache'), { recursive: true, mode: 0o700 });
  await link(join(hyprHome(), 'toolchain'), join(dir, 'toolchain'));
  await copyCaches(dir);
  return { dir, close: () => (kept === undefined ? removeHome(dir) : downAll(dir)) };
};

/** Of this user and checkout. */
const prefix = (): string => `hypr-test-${process.getuid?.() ?? 0}-${shortHash(root, 8)}-`;

/** What the probe of this host said, and what `hypr setup` made; nothing of it is written to again. */
const copyCaches = async (dir: string): Promise<void> => {
  const from = join(hyprHome(), 'cache');
  const names = (await readdir(from)).filter((name) => name.startsWith('accelerator-') || name === 'templates');
  for (const name of names) {
    await mustRun('cp', ['-a', '--sparse=always', '--no-clobber', join(from, name), join(dir, 'cache')]);
  }
};

/** Homes of runs that were killed. */
const removeAbandoned = async (): Promise<void> => {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(prefix()) ? Number(name.slice(prefix().length)) : Number.NaN;
    if (Number.isInteger(pid) && !isRunning(pid)) {
      await removeHome(join(tmpdir(), name));
    }
  }
};

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

const removeHome = async (dir: string): Promise<void> => {
  await downAll(dir);
  await rm(runtimeDir({ ...process.env, HYPR_HOME: dir }), { recursive: true, force: true });
  await rm(dir, { recursive: true, force: true });
};

/** Stacks that a failed test left. */
const downAll = async (dir: string): Promise<void> => {
  const env = { HYPR_HOME: dir };
  const names = (await mustHypr(['ls', '-a', '-q'], { env })).split('\n').filter((name) => name !== '');
  for (const name of names) {
    await hypr(['-p', name, 'down', '-v', '-t', '1', '--remove-orphans'], { env });
  }
};

const link = async (target: string, path: string): Promise<void> => {
  await symlink(target, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') {
      throw error;
    }
  });
};
