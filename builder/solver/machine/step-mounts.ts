import { createHash } from 'node:crypto';
import { Cleanup } from '../../../base/cleanup.ts';
import { withDeadline } from '../../../base/deadline.ts';
import type { FileSpec, StepMount } from '../../../guest/types.ts';
import type { BuildMachine } from '../../model/types.ts';
import { serveAgent } from '../../ssh/agent.ts';
import type { HeldCaches } from './cache-lock.ts';
import type { MachineMounts } from './machine-mounts.ts';
import type { PreparedMount } from './run-mounts.ts';

export interface StepMountsInput {
  readonly machine: BuildMachine;
  readonly contents: MachineMounts;
  readonly mounts: readonly PreparedMount[];
  readonly caches: HeldCaches;
  readonly script: FileSpec | undefined;
  readonly signal: AbortSignal;
}

export interface StepMounts {
  /** In the order of mounting: by target, so that one may be inside another. */
  readonly mounts: readonly StepMount[];
  /** Environment variables of the mounts: secrets and the SSH agent's socket. */
  readonly env: readonly string[];
  /**
   * Unmounts all of them after the program; the caches are then consistent on the host. It is carried through when the build is cancelled
   * meanwhile. Where a step fails its machine is ended instead, which unmounts them too.
   */
  release(): Promise<void>;
}

const DEFAULT_SECRET_MODE = 0o400;
const DEFAULT_SOCKET_MODE = 0o600;
const RELEASE_MS = 180_000;

/** Mounts everything that a step needs in its machine. Throws StepFault, VMM_START, GUEST_REFUSED. */
export const openStepMounts = async (input: StepMountsInput): Promise<StepMounts> => {
  const { machine, mounts, script } = input;
  const cleanup = new Cleanup();
  const disks = new Map<string, PluggedCache>();
  const made: StepMount[] = [];
  for (const [index, prepared] of mounts.entries()) {
    const mount = await makeMount(input, prepared, { index, cleanup, disks });
    if (mount !== undefined) {
      made.push(mount);
    }
  }
  if (script !== undefined) {
    const { path, ...file } = script;
    made.push({ kind: 'file', target: path, ...file });
  }
  made.sort((a, b) => (a.target === b.target ? 0 : a.target < b.target ? -1 : 1));
  const release = () =>
    withDeadline({ ms: RELEASE_MS, what: 'taking away what a step had mounted' }, async (limit) => {
      if (made.length > 0) {
        await machine.guest.releaseStep(
          [...disks.values()].map(({ serial }) => serial),
          limit,
        );
      }
      for (const { unplug } of disks.values()) {
        await unplug(limit);
      }
      await cleanup.run();
    });
  return { mounts: made, env: variables(mounts), release };
};

interface PluggedCache {
  readonly serial: string;
  readonly unplug: (signal: AbortSignal) => Promise<void>;
}

interface Making {
  readonly index: number;
  readonly cleanup: Cleanup;
  /** By the cache's file. */
  readonly disks: Map<string, PluggedCache>;
}

const makeMount = async (input: StepMountsInput, prepared: PreparedMount, making: Making): Promise<StepMount | undefined> => {
  const { mount, target, content, secret, cache, ssh } = prepared;
  if (target === undefined) {
    return undefined;
  }
  const owner = { uid: mount.uid ?? 0, gid: mount.gid ?? 0 };
  if (secret !== undefined) {
    return { kind: 'file', target, content: secret, mode: mount.mode ?? DEFAULT_SECRET_MODE, ...owner };
  }
  if (ssh !== undefined) {
    return await forwardAgent(input, { prepared, target, making });
  }
  if (cache !== undefined) {
    const disk = await plugCache(input, input.caches.get(cache.file) ?? cache.file, making);
    const seed = content === undefined ? {} : { seed: await input.contents.bring(content, input.signal) };
    const mode = mount.mode === undefined ? {} : { mode: mount.mode };
    return { kind: 'cache', target, disk, readOnly: mount.readOnly, ...owner, ...mode, ...seed };
  }
  if (content !== undefined) {
    return { kind: 'bind', target, readOnly: mount.readOnly, content: await input.contents.bring(content, input.signal) };
  }
  return mount.type === 'tmpfs' ? { kind: 'tmpfs', target, ...(mount.size === undefined ? {} : { size: mount.size }) } : undefined;
};

const plugCache = async ({ machine, signal }: StepMountsInput, file: string, { disks }: Making): Promise<string> => {
  const known = disks.get(file);
  if (known !== undefined) {
    return known.serial;
  }
  const serial = `c${createHash('sha256').update(file).digest('hex').slice(0, 16)}`;
  await machine.makeDisk(file, signal);
  const plugged = await machine.plugDisk({ serial, path: file, format: 'raw', readOnly: false }, signal);
  disks.set(file, { serial, unplug: (limit) => plugged.unplug(limit) });
  return serial;
};

/** The guest gets a socket and signatures, never a key. */
const forwardAgent = async (
  { machine, signal }: StepMountsInput,
  { prepared, target, making }: { prepared: PreparedMount; target: string; making: Making },
): Promise<StepMount | undefined> => {
  const { mount, ssh } = prepared;
  if (ssh === undefined) {
    return undefined;
  }
  const name = `ssh${making.index}`;
  const place = { socket: name, mode: mount.mode ?? DEFAULT_SOCKET_MODE, uid: mount.uid ?? 0, gid: mount.gid ?? 0 };
  const relay = await machine.guest.relay(place, (connection) => void serveAgent(connection, ssh), signal);
  making.cleanup.defer(() => relay.close());
  return { kind: 'socket', target, name };
};

const variables = (mounts: readonly PreparedMount[]): string[] => {
  const secrets = mounts.flatMap(({ mount, secret }) =>
    mount.env !== undefined && secret !== undefined ? [`${mount.env}=${Buffer.from(secret).toString('utf8')}`] : [],
  );
  const agent = mounts.find(({ ssh }) => ssh !== undefined)?.target;
  return [...secrets, ...(agent === undefined ? [] : [`SSH_AUTH_SOCK=${agent}`])];
};
