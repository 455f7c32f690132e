import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile, rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError, isAbort, isErrno } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { identifyProcess, type ProcessIdentity, signalProcess } from '../../base/host/process.ts';
import { childEnv } from '../model/environment.ts';
import type { ShareSpec } from '../model/machine.ts';
import type { Tool } from '../model/tools.ts';
import { awaitFile } from './await-socket.ts';
import { lastLines } from './console.ts';

const START_MS = 10_000;

export interface VirtiofsdInput {
  readonly tool: Tool | undefined;
  readonly share: ShareSpec;
  readonly socket: string;
  readonly log: string;
  readonly signal?: AbortSignal;
}

/**
 * Starts the daemon that shares one folder with one machine; it ends when the machine closes the socket. It runs in its own
 * namespaces where the host allows them, and never with more rights than the user has.
 * Throws TOOLCHAIN_MISSING without virtiofsd, VMM_START with its last output.
 */
export const startVirtiofsd = async (input: VirtiofsdInput): Promise<ProcessIdentity> => {
  const { tool, share } = input;
  if (tool === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', `virtiofsd is needed to share ${share.path}`, { hint: 'run: hypr setup' });
  }
  if (!(await exists(share.path))) {
    throw new HyprError('VMM_START', `${share.path} cannot be shared with the machine: it does not exist`);
  }
  let failure: unknown;
  for (const sandbox of sandboxes(share, await findIds())) {
    try {
      return await launch({ ...input, tool, args: [...commonArgs(input), ...sandbox] });
    } catch (error) {
      if (isAbort(error) || input.signal?.aborted) {
        throw error;
      }
      failure ??= error;
    }
  }
  throw failure;
};

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
const WITHOUT = ['--sandbox', 'none'];

/**
 * Pure: ways to run the daemon, best first. Root needs no translation: owners are kept, as docker does. A
 * plain user is root of a namespace of its own: its files look like root's in the guest, and what any
 * user of the guest writes belongs to it. With subordinate ids the guest's users have ids of their own.
 */
export const sandboxes = (share: Pick<ShareSpec, 'ownership'>, ids: HostIds): string[][] => {
  const { uid, gid, subordinate } = ids;
  if (uid === 0) {
    return [['--sandbox', 'namespace'], ['--sandbox', 'chroot'], WITHOUT];
  }
  const mapped = ['--sandbox', 'namespace', '--uid-map', `:0:${uid}:1:`, '--gid-map', `:0:${gid}:1:`];
  const squashTo = (user: number, group: number) => [
    ...['--translate-uid', `squash-guest:0:${user}:${ALL_IDS}`],
    ...['--translate-gid', `squash-guest:0:${group}:${ALL_IDS}`],
  ];
  const squashed = [
    [...mapped, ...squashTo(0, 0)],
    [...WITHOUT, ...squashTo(uid, gid), '--translate-uid', `host:${uid}:0:1`, '--translate-gid', `host:${gid}:0:1`],
  ];
  if (share.ownership === 'squash' || subordinate === undefined) {
    return squashed;
  }
  const own = ({ first, count }: IdRange) => `:1:${first}:${count}:`;
  return [[...mapped, '--uid-map', own(subordinate.uid), '--gid-map', own(subordinate.gid)], ...squashed];
};

const commonArgs = ({ share, socket }: VirtiofsdInput): string[] => [
  ...['--socket-path', socket, '--shared-dir', share.path, '--cache', 'auto', '--xattr', '--announce-submounts', '--log-level', 'error'],
  ...(share.readOnly ? ['--readonly'] : []),
];

const findIds = async (): Promise<HostIds> => {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const username = findUserName();
  const [subuid, subgid, helper] = await Promise.all([readText('/etc/subuid'), readText('/etc/subgid'), exists('/usr/bin/newuidmap')]);
  const own = parseSubordinate(subuid, username, uid);
  const group = parseSubordinate(subgid, username, uid);
  return { uid, gid, subordinate: helper && own && group ? { uid: own, gid: group } : undefined };
};

/** A user of a container or of CI may have no name. */
const findUserName = (): string => {
  try {
    return userInfo().username;
  } catch {
    return '';
  }
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

const launch = async (input: VirtiofsdInput & { tool: Tool; args: readonly string[] }): Promise<ProcessIdentity> => {
  // A variant that failed may have left its socket, which must not be mistaken for this one's.
  await rm(input.socket, { force: true });
  const log = await open(input.log, 'a', 0o600);
  try {
    const child = spawn(input.tool.file, [...input.tool.prefix, ...input.args], {
      detached: true,
      cwd: '/',
      env: childEnv(),
      stdio: ['ignore', log.fd, log.fd],
    });
    child.unref();
    const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
    try {
      await withDeadline({ ms: START_MS, what: `the share of ${input.share.path}`, signal: input.signal }, (signal) =>
        Promise.race([awaitFile(input.socket, signal), ended(child, input)]),
      );
      if (identity === undefined || child.exitCode !== null) {
        throw await startError(input);
      }
      return identity;
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

const ended = (child: ChildProcess, input: VirtiofsdInput): Promise<never> =>
  new Promise((_, reject) => {
    const fail = () => void startError(input).then(reject, reject);
    child.once('error', fail);
    child.once('exit', fail);
  });

const startError = async (input: VirtiofsdInput): Promise<HyprError> =>
  new HyprError('VMM_START', `${input.share.path} cannot be shared with the machine`, { details: await lastLines(input.log, 6) });
