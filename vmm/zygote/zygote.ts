import type { ChildProcess } from 'node:child_process';
import { open, realpath, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { Cleanup } from '../../base/cleanup.ts';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { identifyProcess, type ProcessIdentity, parentOf } from '../../base/host/process.ts';
import { copySparse } from '../devices/disks.ts';
import type { MachineSpec } from '../model/machine.ts';
import { loadClone } from '../qemu/clone.ts';
import { machineSockets, type QemuSettings } from '../qemu/command.ts';
import { copyRights } from '../qemu/fence.ts';
import { launchQemu, makeFolders } from '../qemu/launch.ts';
import { type RootedDisks, rootDisks } from '../qemu/machine-class.ts';
import { stderrPath, whileItRuns } from '../qemu/process-end.ts';
import type { Template } from '../template/types.ts';
import { rehearse } from './rehearse.ts';

/** A second on a machine that has nothing else to do. */
const START_MS = 30_000;
const COPY_MS = 10_000;

/** A QEMU whose stopped guest has mounted its root and done a trial start. Machines are forked from it; it is no machine itself. */
export interface Zygote {
  /**
   * Forks a process with the machine's own sockets and its console file, which exists already. Its writable layer is a copy of
   * this one's, which the guest has mounted. Its NIC is connected to `nic`, which stays open here. Its guest is stopped.
   * Throws VMM_START with the reason.
   */
  copy(spec: MachineSpec, nic: Socket, signal?: AbortSignal): Promise<ProcessIdentity>;
  /** Resolves when it is gone, whoever ended it. */
  readonly ended: Promise<void>;
  end(): Promise<void>;
}

export interface ZygoteInput {
  readonly settings: QemuSettings;
  readonly template: Template & { readonly ram: string; readonly upper: string };
  /** One of the machines that are wanted. */
  readonly spec: MachineSpec;
  readonly disks: RootedDisks;
  /** For its sockets: short, and its own. */
  readonly runDir: string;
  readonly signal?: AbortSignal | undefined;
}

/** Starts a clone of a template, has it do a trial start and stops it. Throws VMM_START, GUEST_BOOT, GUEST_REFUSED, HYPR_TIMEOUT. */
export const startZygote = ({ signal, ...input }: ZygoteInput): Promise<Zygote> =>
  withDeadline({ ms: START_MS, what: 'a machine that can be copied', signal }, (limit) => start({ ...input, signal: limit }));

const start = async (input: ZygoteInput): Promise<Zygote> => {
  const { settings, template, runDir, signal } = input;
  const cleanup = new Cleanup();
  try {
    cleanup.defer(() => rm(runDir, { recursive: true, force: true }));
    const spec = await ownSpec(input);
    const layer = await openLayer(join(runDir, UPPER), template.upper, signal);
    const beginning = { kind: 'zygote', ram: template.ram, consoles: dirname(input.spec.consoleLog) } as const;
    // The pipe takes what the guest sends to its network during the trial start.
    const inherits = ['pipe', layer.fd, 'ipc'] as const;
    const launched = await launchQemu({ settings, spec, inherits, beginning, saved: template, cleanup, signal }).finally(() =>
      layer.close(),
    );
    const { child, qmp } = launched;
    const wire = letGo(child);
    await whileItRuns({ ...launched, spec, what: 'a machine that can be copied', signal }, async (alive) => {
      await loadClone({ qmp, spec, saved: template, signal: alive });
      await qmp.run('cont', undefined, alive);
      await rehearse(spec, wire, alive);
      await qmp.run('stop', undefined, alive);
    });
    qmp.close();
    const files = await realpath(runDir);
    // Nobody needs its sockets any more. Removed now, nothing is left over however it ends.
    await rm(runDir, { recursive: true, force: true });
    // The caller has given up: a zygote that nobody knows of would stay as long as this process.
    signal?.throwIfAborted();
    return new QemuZygote(child, { sockets: runDir, files }, { cleanup, settings });
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  }
};

const UPPER = 'upper';
/** The descriptors of a zygote: first its NIC, then its writable layer. */
const NIC_FD = 3;
const LAYER_FD = 4;

/**
 * The disk is named by its descriptor, because QEMU opens a disk again by its name when it starts to write, and in a copy that
 * has to be the copy's disk.
 */
const ownSpec = async ({ spec, disks, runDir }: ZygoteInput): Promise<MachineSpec> => {
  // Padded, because copies write their names over it.
  const name = 'zygote'.padEnd(NAME_ROOM, '-');
  const own = { ...spec, name, runDir, consoleLog: join(runDir, 'console') };
  await makeFolders(own);
  return { ...own, disks: [disks.root, { ...disks.upper, path: `/proc/self/fd/${LAYER_FD}` }], shares: [] };
};

const NAME_ROOM = 120;

/** A layer that nobody else can open and that leaves nothing behind. */
const openLayer = async (path: string, from: string, signal?: AbortSignal) => {
  await copySparse(from, path, signal);
  const layer = await open(path, 'r+');
  await rm(path);
  return layer;
};

/** Neither process nor channel keeps this process alive; the end of this process is the end of the channel, and of the zygote. */
const letGo = (child: ChildProcess): Socket => {
  child.channel?.unref();
  // Node's pipes are sockets, whatever its types say.
  const wire = child.stdio[NIC_FD] as unknown as Socket;
  return wire
    .on('error', () => {})
    .resume()
    .unref();
};

/** How the kernel names an open file that was removed. */
const removed = (path: string): string => `${path} (deleted)`;

/** Removes the writable layer of a copy that failed. */
export const removeMadeLayer = async (spec: MachineSpec): Promise<void> => {
  const path = rootDisks(spec)?.upper.path;
  // In this order, because a copy that is ending may still rename the first to the second.
  for (const file of path === undefined ? [] : [`${path}.tmp`, path]) {
    await rm(file, { force: true });
  }
};

/** The folder of a zygote: the path that names its sockets, and the real path by which the kernel names its files. */
interface Folder {
  readonly sockets: string;
  readonly files: string;
}

class QemuZygote implements Zygote {
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #folder: Folder;
  readonly #cleanup: Cleanup;
  readonly #settings: QemuSettings;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(child: ChildProcess, folder: Folder, { cleanup, settings }: { cleanup: Cleanup; settings: QemuSettings }) {
    this.#child = child;
    this.#folder = folder;
    this.#cleanup = cleanup;
    this.#settings = settings;
    this.ended = new Promise((resolve) => child.once('exit', () => resolve()));
  }

  /** Copies are made one after the other; each takes milliseconds. */
  copy(spec: MachineSpec, nic: Socket, signal?: AbortSignal): Promise<ProcessIdentity> {
    const made = this.#turn.then(() => {
      signal?.throwIfAborted();
      return this.#copy(spec, nic);
    });
    this.#turn = made.catch(() => {});
    return made;
  }

  /** Cannot be aborted: a copy whose pid is lost would belong to nobody. */
  async #copy(spec: MachineSpec, nic: Socket): Promise<ProcessIdentity> {
    try {
      return await this.#requestCopy(spec, nic);
    } catch (error) {
      await removeMadeLayer(spec);
      throw error;
    }
  }

  async #requestCopy(spec: MachineSpec, nic: Socket): Promise<ProcessIdentity> {
    const asked = this.#send(this.#requestFor(spec), nic);
    const answer = await withDeadline({ ms: COPY_MS, what: `a copy of a machine for ${spec.name}` }, () => asked).catch(
      (error: unknown) => {
        // A late answer would be taken for the answer to the next request. The copy ends with the zygote.
        this.#child.kill('SIGKILL');
        throw error;
      },
    );
    const pid = typeof answer === 'object' && answer !== null && 'pid' in answer ? Number(answer.pid) : undefined;
    // Only a child of its own: what it names is ended with the machine.
    const process = pid === undefined || parentOf(pid) !== this.#child.pid ? undefined : identifyProcess(pid);
    if (process === undefined) {
      const reason = typeof answer === 'object' && answer !== null && 'error' in answer ? String(answer.error) : 'it ended at once';
      throw new HyprError('VMM_START', `QEMU could not be copied for ${spec.name}: ${reason}`);
    }
    return process;
  }

  #requestFor(spec: MachineSpec): string {
    const { sockets, files } = this.#folder;
    const own = machineSockets(sockets);
    const theirs = machineSockets(spec.runDir);
    const lines = [
      ['move', own.control, theirs.control],
      ['move', own.agent, theirs.agent],
      ['move', removed(join(files, 'console')), spec.consoleLog],
      ['move', removed(stderrPath({ spec: { ...spec, runDir: files } })), stderrPath({ spec })],
      ['copy', removed(join(files, UPPER)), spec.disks[1]?.path],
    ];
    const moves = lines.map(([verb, from, to]) => `${verb} ${from}\t${to}`);
    const rights = copyRights(this.#settings, spec).map(([verb, path]) => `${verb} ${path}`);
    return [`name hypr-${spec.name}`, `nic ${NIC_FD}`, ...moves, ...rights].join('\n');
  }

  #send(request: string, nic: Socket): Promise<unknown> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const gone = () => reject(new HyprError('VMM_DIED', 'the QEMU that makes copies has ended'));
      const done = (answer: unknown) => {
        child.off('disconnect', gone);
        resolve(answer);
      };
      child.once('message', done).once('disconnect', gone);
      // In hexadecimal, because the reader has no JSON parser.
      child.send(Buffer.from(`${request}\n`).toString('hex'), nic, { keepOpen: true }, (error) => {
        if (error !== null) {
          child.off('message', done).off('disconnect', gone);
          gone();
        }
      });
    });
  }

  async end(): Promise<void> {
    await this.#turn;
    await this.#cleanup.run();
  }
}
