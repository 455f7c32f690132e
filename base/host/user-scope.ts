import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, messageOf } from '../errors.ts';
import { exists } from './files.ts';
import { runProgram } from './process.ts';
import { userName } from './user-name.ts';

/** What processes may use of this host, together. */
export interface ProcessLimits {
  /** Undefined: no limit. */
  readonly memoryBytes: number | undefined;
  /** Processors that may be busy with them. */
  readonly cpus: number;
  /** Threads and processes. */
  readonly tasks: number;
}

/** The systemd of this user, which makes cgroups (scopes) for processes that are this user's already. */
export interface UserManager {
  /** Of its bus, as D-Bus writes addresses. */
  readonly bus: string;
  readonly controllers: readonly string[];
}

/** Where to look; tests give their own. */
export interface UserManagerPlace {
  /** $XDG_RUNTIME_DIR */
  readonly runtime: string;
  /** The file that says that this user's systemd lives longer than their sessions (loginctl enable-linger). Undefined: the user has no name. */
  readonly linger: string | undefined;
  /** Where cgroup v2 is mounted. */
  readonly mount: string;
}

const MANAGER = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'] as const;
const ANSWER_MS = 5_000;

const ownPlace = (mount: string): UserManagerPlace => {
  const [uid, name] = [process.getuid?.() ?? 0, userName()];
  const linger = name === undefined ? undefined : join('/var/lib/systemd/linger', name);
  return { runtime: process.env.XDG_RUNTIME_DIR || `/run/user/${uid}`, linger, mount };
};

/**
 * Finds this user's systemd; otherwise the reason. One that ends with the user's last session is not asked, because it would take what is in its
 * scopes along, and machines outlive sessions (logind.conf(5), KillUserProcesses).
 */
export const findUserManager = async (mount: string, place: UserManagerPlace = ownPlace(mount)): Promise<UserManager | string> => {
  const socket = join(place.runtime, 'bus');
  if (!(await exists(socket))) {
    return 'this user has no systemd of their own';
  }
  if (place.linger === undefined) {
    return 'this user has no name, without which their systemd is not asked';
  }
  if (!(await exists(place.linger))) {
    return "this user's systemd ends with their last session, unless: loginctl enable-linger";
  }
  const bus = `unix:path=${socket}`;
  const answer = await askBus(bus, ['get-property', ...MANAGER, 'ControlGroup']);
  const folder = /^s "(.*)"$/m.exec(answer.text)?.[1];
  if (folder === undefined) {
    return `this user's systemd does not answer: ${answer.text.trim().split('\n').at(-1)}`;
  }
  const controllers = (await readFile(join(place.mount, folder, 'cgroup.controllers'), 'utf8').catch(() => '')).trim().split(/\s+/);
  return controllers.includes('memory') ? { bus, controllers } : "this user's systemd does not have the memory controller";
};

/** Has it put the processes into a scope of their own, which goes with the last of them. Gives its words if it does not. */
export const startScope = async (
  { bus }: Pick<UserManager, 'bus'>,
  unit: string,
  { pids, limits }: { readonly pids: readonly number[]; readonly limits: ProcessLimits },
): Promise<string | undefined> => {
  const { code, text } = await askBus(bus, [
    'call',
    ...MANAGER,
    'StartTransientUnit',
    'ssa(sv)a(sa(sv))',
    ...scopeWords(unit, pids, limits),
  ]);
  return code === 0 ? undefined : text.trim();
};

/** Pure: the arguments of StartTransientUnit as busctl(1) takes them (org.freedesktop.systemd1(5), systemd.resource-control(5)). */
export const scopeWords = (unit: string, pids: readonly number[], { memoryBytes, cpus, tasks }: ProcessLimits): string[] => {
  const properties: ReadonlyArray<readonly string[]> = [
    ['PIDs', 'au', String(pids.length), ...pids.map(String)],
    ['CollectMode', 's', 'inactive-or-failed'],
    ...(memoryBytes === undefined ? [] : [['MemoryMax', 't', String(memoryBytes)]]),
    ['CPUQuotaPerSecUSec', 't', String(cpus * 1_000_000)],
    ['TasksMax', 't', String(tasks)],
  ];
  return [unit, 'fail', String(properties.length), ...properties.flat(), '0'];
};

/** Node speaks no D-Bus; where systemd is, its own client is, too. */
const askBus = async (bus: string, words: readonly string[]): Promise<{ readonly code: number; readonly text: string }> => {
  try {
    const { code, stdout, stderr } = await runProgram('busctl', [`--address=${bus}`, ...words], {
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
      timeout: ANSWER_MS,
      most: 4096,
    });
    return { code, text: code === 0 ? stdout : stderr || `busctl ended with ${code}` };
  } catch (error) {
    // Also what passes, as a lack of processes or descriptors: nothing fails for want of a cgroup.
    return { code: 127, text: isErrno(error, 'ENOENT', 'EACCES') ? 'its program busctl is missing' : messageOf(error) };
  }
};
