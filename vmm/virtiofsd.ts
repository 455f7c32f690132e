import { type ChildProcess, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { withDeadline } from '../base/deadline.ts';
import { HyprError } from '../base/errors.ts';
import { identifyProcess, type ProcessIdentity } from '../base/process.ts';
import { awaitFile } from './await-socket.ts';
import type { ShareSpec } from './machine.ts';
import type { Tool } from './tools.ts';

const START_MS = 10_000;
const ALL_IDS = 4_294_967_295;

/**
 * Starts the daemon that gives one folder to one machine; it ends when the machine closes the socket. In a
 * namespace of its own where the host allows one, else without; never with more rights than the user's.
 */
export const startVirtiofsd = async (input: {
  tool: Tool | undefined;
  share: ShareSpec;
  socket: string;
  log: string;
  signal?: AbortSignal;
}): Promise<ProcessIdentity> => {
  const { tool, share } = input;
  if (tool === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', `virtiofsd is needed to share ${share.path}`, { hint: 'run: hypr setup' });
  }
  try {
    return await launch({ ...input, tool, sandbox: 'namespace' });
  } catch (error) {
    if (error instanceof HyprError && error.code === 'HYPR_CANCELLED') {
      throw error;
    }
    return launch({ ...input, tool, sandbox: 'none' });
  }
};

interface Launch {
  readonly tool: Tool;
  readonly share: ShareSpec;
  readonly socket: string;
  readonly log: string;
  readonly sandbox: 'namespace' | 'none';
  readonly signal?: AbortSignal;
}

/** Pure: the daemon's arguments. */
export const virtiofsdArgs = (input: Pick<Launch, 'share' | 'socket' | 'sandbox'>, user: { uid: number; gid: number }): string[] => [
  ...[
    '--socket-path',
    input.socket,
    '--shared-dir',
    input.share.path,
    '--cache',
    'auto',
    '--sandbox',
    input.sandbox,
    '--xattr',
    '--announce-submounts',
  ],
  ...(input.share.readOnly ? ['--readonly'] : []),
  // What any user of the guest writes belongs to the invoking user, who could not own it otherwise. Root keeps owners, as docker does.
  ...(input.share.ownership === 'squash' && user.uid !== 0
    ? ['--translate-uid', `squash-guest:0:${user.uid}:${ALL_IDS}`, '--translate-gid', `squash-guest:0:${user.gid}:${ALL_IDS}`]
    : []),
];

const launch = async (input: Launch): Promise<ProcessIdentity> => {
  const log = await open(input.log, 'a', 0o600);
  try {
    const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const child = spawn(input.tool.file, [...input.tool.prefix, ...virtiofsdArgs(input, user)], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    child.unref();
    try {
      await withDeadline({ ms: START_MS, what: `the share of ${input.share.path}`, signal: input.signal }, (signal) =>
        Promise.race([awaitFile(input.socket, signal), ended(child, input)]),
      );
      const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
      if (identity === undefined) {
        throw startError(input);
      }
      return identity;
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  } finally {
    await log.close();
  }
};

const ended = (child: ChildProcess, input: Launch): Promise<never> =>
  new Promise((_, reject) => {
    child.once('error', reject);
    child.once('exit', () => reject(startError(input)));
  });

const startError = (input: Launch): HyprError =>
  new HyprError('VMM_START', `${input.share.path} cannot be shared with the machine`, { hint: `virtiofsd's words are in ${input.log}` });
