import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, readFile, realpath, rm } from 'node:fs/promises';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError, isAbort, isErrno } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { withoutInherited } from '../../base/host/inherited.ts';
import { identifyProcess, type ProcessIdentity, signalProcess } from '../../base/host/process.ts';
import { userName } from '../../base/host/user-name.ts';
import { childEnv } from '../model/environment.ts';
import type { ShareSpec } from '../model/machine.ts';
import { FENCE_REFUSED, filesOfTool, type Tool } from '../model/tools.ts';
import { awaitText } from './await-socket.ts';
import { lastLines } from './console.ts';
import { isOfThisHost } from './share-files.ts';

const START_MS = 10_000;

export interface VirtiofsdInput {
  readonly tool: Tool | undefined;
  /** Compiled from vmm/jail/share.c. */
  readonly fence: string;
  /** Compiled from vmm/preload/shares.c. */
  readonly preload: string | null;
  readonly share: ShareSpec;
  readonly socket: string;
  readonly log: string;
  readonly signal?: AbortSignal;
}

export interface ShareDaemon {
  readonly process: ProcessIdentity;
  /** A child of this process, which therefore learns of its end. */
  readonly child: ChildProcess;
}

/**
 * Starts the daemon that shares one folder, or one file, with one machine; it ends when the machine closes the socket. It
 * runs in its own namespaces if the host allows them, else in a Landlock sandbox; never without a fence, and never with more
 * rights than the user. Throws TOOLCHAIN_MISSING without virtiofsd, VMM_START with its last output, VMM_FENCE.
 */
export const startVirtiofsd = async (input: VirtiofsdInput): Promise<ShareDaemon> => {
  const { tool, share } = input;
  if (tool === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', `virtiofsd is needed to share ${share.path}`, { hint: 'run: hypr setup' });
  }
  if (!(await exists(share.path))) {
    throw new HyprError('VMM_START', `${share.path} cannot be shared with the machine: it does not exist`);
  }
  if (share.file || share.readOnly) {
    await mkdir(placeInFence(input), { mode: 0o700 });
  }
  const preload = tool.origin === 'toolchain' && (await isOfThisHost(await realpath(share.path))) ? input.preload : null;
  let failure: unknown;
  for (const way of sandboxes(share, await findIds())) {
    try {
      return await launch({ ...input, tool, preload }, way);
    } catch (error) {
      if (isAbort(error) || input.signal?.aborted) {
        throw error;
      }
      if (error instanceof HyprError && error.code === 'VMM_FENCE' && way.fence !== 'sealed') {
        throw error;
      }
      failure ??= error;
    }
  }
  throw failure;
};

const noFence = ({ path, file }: ShareSpec, why: string): HyprError =>
  new HyprError('VMM_FENCE', `${path} cannot be shared safely with the machine: ${why}`, {
    hint: file
      ? 'allow user namespaces (hypr doctor says how), bind the folder, or give the file with :ro'
      : 'allow user namespaces (hypr doctor says how), or use a kernel with Landlock switched on',
  });

/** One way to run the daemon: its arguments, and the fence. */
export interface Way {
  /**
   * `folder`: Landlock; `file`: a mount namespace in which there is one file; `sealed`: one in which the folder is read-only. Absent: its own
   * sandbox is enough.
   */
  readonly fence?: 'folder' | 'file' | 'sealed';
  readonly args: readonly string[];
}

/** The user who runs hypr, and the subordinate ids that the host gives that user (subuid(5)). */
export interface HostIds {
  readonly uid: number;
  readonly gid: number;
  readonly subordinate: { readonly uid: IdRange; readonly gid: IdRange } | undefined;
}

export interface IdRange {
  readonly first: number;
  readonly count: number;
}

const ALL_IDS = 4_294_967_295;
/**
 * Pure: ways to run the daemon, best first. Root needs no translation: owners are kept, as with docker. A
 * plain user is root in a user namespace: the user's files belong to root in the guest, and files that any
 * guest user writes belong to the user. With subordinate ids the guest's users have their own ids.
 */
export const sandboxes = (share: Pick<ShareSpec, 'ownership' | 'file' | 'readOnly'>, ids: HostIds): Way[] => {
  const { uid, gid, subordinate } = ids;
  const namespace = ['--sandbox', 'namespace'];
  /** Where the kernel refuses every write, the daemon lets through what tells a guest's programs of edits, which `--readonly` does not. */
  const sealed = (owners: readonly string[]): Way[] => (share.readOnly ? [{ fence: 'sealed', args: [...namespace, ...owners] }] : []);
  const without = ['--sandbox', 'none'];
  const squashTo = (user: number, group: number) => [
    ...['--translate-uid', `squash-guest:0:${user}:${ALL_IDS}`],
    ...['--translate-gid', `squash-guest:0:${group}:${ALL_IDS}`],
  ];
  if (share.file) {
    // In the fence's namespace a plain user is root already.
    const owners = uid === 0 ? [] : squashTo(0, 0);
    return [namespace, ['--sandbox', 'chroot']].map((args) => ({ fence: 'file', args: [...args, ...owners] }));
  }
  if (uid === 0) {
    return [...sealed([]), { args: namespace }, { args: ['--sandbox', 'chroot'] }, { fence: 'folder', args: without }];
  }
  const mapped = [...namespace, '--uid-map', `:0:${uid}:1:`, '--gid-map', `:0:${gid}:1:`];
  const own = ({ first, count }: IdRange) => `:1:${first}:${count}:`;
  const kept =
    share.ownership === 'squash' || subordinate === undefined
      ? []
      : [{ args: [...mapped, '--uid-map', own(subordinate.uid), '--gid-map', own(subordinate.gid)] }];
  const shownAsRoot = ['--translate-uid', `host:${uid}:0:1`, '--translate-gid', `host:${gid}:0:1`];
  return [
    ...kept,
    ...sealed(squashTo(0, 0)),
    { args: [...mapped, ...squashTo(0, 0)] },
    { fence: 'folder', args: [...without, ...squashTo(uid, gid), ...shownAsRoot] },
  ];
};

/** The folder that is shared, in a mount namespace of the fence. */
const placeInFence = ({ socket }: Pick<VirtiofsdInput, 'socket'>): string => `${socket}.d`;

/** Pure: the whole command line. A fence passes the daemon a listening socket, so that it needs no access to the run folder. */
export const virtiofsdCommand = (input: VirtiofsdInput & { tool: Tool }, way: Way): { file: string; args: string[] } => {
  const { tool, share, socket, fence, preload } = input;
  const readOnly = share.readOnly && way.fence !== 'sealed' ? ['--readonly'] : [];
  const hasPlace = way.fence === 'file' || way.fence === 'sealed';
  const shared = hasPlace ? placeInFence(input) : share.path;
  // killpriv: what a write takes from a file (set-user-id, capabilities) is taken here, so that no write asks for attributes first.
  const plain = ['--cache', 'auto', '--xattr', '--killpriv-v2', '--announce-submounts', '--log-level', 'info'];
  const common = ['--shared-dir', shared, ...plain, ...readOnly];
  if (way.fence === undefined) {
    return { file: tool.file, args: [...tool.prefix, '--socket-path', socket, ...common, ...way.args] };
  }
  const what = hasPlace
    ? [`--${way.fence}`, share.path, '--at', shared]
    : ['--folder', share.path, ...[...filesOfTool(tool), ...(preload === null ? [] : [preload])].flatMap((path) => ['--read', path])];
  const limits = ['--socket', socket, ...what, ...(readOnly.length > 0 ? ['--read-only'] : [])];
  return { file: fence, args: [...limits, '--', tool.file, ...tool.prefix, '--fd', '3', ...common, ...way.args] };
};

const findIds = async (): Promise<HostIds> => {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const username = userName() ?? '';
  const [subuid, subgid, helper] = await Promise.all([readText('/etc/subuid'), readText('/etc/subgid'), exists('/usr/bin/newuidmap')]);
  const own = parseSubordinate(subuid, username, uid);
  const group = parseSubordinate(subgid, username, uid);
  return { uid, gid, subordinate: helper && own && group ? { uid: own, gid: group } : undefined };
};

/** The first range of a user in /etc/subuid: `name-or-uid:first:count`. */
export const parseSubordinate = (text: string, name: string, uid: number): IdRange | undefined => {
  for (const line of text.split('\n')) {
    const [user, first, count] = line.trim().split(':');
    if ((user === name || user === String(uid)) && /^\d+$/.test(first ?? '') && /^[1-9]\d*$/.test(count ?? '')) {
      return { first: Number(first), count: Number(count) };
    }
  }
  return undefined;
};

const readText = async (path: string): Promise<string> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES')) {
      return '';
    }
    throw error;
  }
};

const launch = async (input: VirtiofsdInput & { tool: Tool }, way: Way): Promise<ShareDaemon> => {
  // A failed attempt may have left its socket.
  await rm(input.socket, { force: true });
  const log = await open(input.log, 'a', 0o600);
  try {
    const { size } = await log.stat();
    const { file, args } = virtiofsdCommand(input, way);
    const { stdio, done } = withoutInherited(['ignore', log.fd, log.fd] as const);
    const child = spawn(file, args, {
      detached: true,
      cwd: '/',
      env: childEnv(input.preload === null ? {} : { LD_PRELOAD: input.preload }),
      stdio,
    });
    done();
    child.unref();
    const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
    try {
      await withDeadline({ ms: START_MS, what: `the share of ${input.share.path}`, signal: input.signal }, (signal) =>
        Promise.race([awaitText({ path: input.log, from: size, text: READY, signal }), ended(child, input, way)]),
      );
      if (identity === undefined || child.exitCode !== null) {
        throw await startError(child, input, way);
      }
      return { process: identity, child };
    } catch (error) {
      if (identity !== undefined) {
        signalProcess(identity, 'SIGKILL');
      }
      throw error;
    }
  } finally {
    await log.close();
  }
};

/** Its log message once it is in its sandbox and has opened the folder. Its socket exists long before, even if it fails later. */
const READY = 'Waiting for vhost-user socket connection';

const ended = (child: ChildProcess, input: VirtiofsdInput, way: Way): Promise<never> =>
  new Promise((_, reject) => {
    const fail = () => void startError(child, input, way).then(reject, reject);
    child.once('error', fail);
    child.once('exit', fail);
  });

const startError = async (child: ChildProcess, { log, share }: VirtiofsdInput, way: Way): Promise<HyprError> => {
  const details = await lastLines(log, 6);
  return way.fence !== undefined && child.exitCode === FENCE_REFUSED
    ? noFence(share, (details.at(-1) ?? '').replace(/^fence: /, ''))
    : new HyprError('VMM_START', `${share.path} cannot be shared with the machine`, { details });
};
