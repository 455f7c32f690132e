import type { ChildProcess } from 'node:child_process';
import { watch } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Cleanup } from '../../base/cleanup.ts';
import { rejectOnAbort, withDeadline } from '../../base/deadline.ts';
import { HyprError, isErrno } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/files.ts';
import { runtimeDir } from '../../base/paths.ts';
import { type ProcessIdentity, signalProcess } from '../../base/process.ts';
import { connectGuest } from '../../guest/client.ts';
import { lastLines } from '../console.ts';
import type { MachineSpec } from '../machine.ts';
import { loadClone, saveState } from '../qemu/clone.ts';
import { type Beginning, machineSockets, type QemuSettings } from '../qemu/command.ts';
import { type Launched, launchQemu, makeFolders } from '../qemu/launch.ts';
import { isGone } from '../qemu/machine.ts';
import { endWithUs } from './guard.ts';
import { publishTemplate, sealTemplate, templateAt } from './store.ts';
import type { Template } from './types.ts';

/** Software emulation boots in 2–4 s; a loaded machine may take many times that. */
const BOOT_MS = 120_000;

export interface MakeInput {
  readonly settings: QemuSettings;
  /** Folder of all templates. */
  readonly root: string;
  readonly key: string;
  /** Any machine of the class: its processors, its memory and whether it has shares count. */
  readonly spec: MachineSpec;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Boots a machine without disks and cards until its agent waits for orders, with nobody ever connected to
 * it, and saves it aside. Takes its place only after a clone of it has answered. For one caller at a time per key.
 */
export const makeTemplate = async (input: MakeInput): Promise<Template> => {
  const { root, key, settings, signal } = input;
  const aside = join(root, `${key}.making`);
  await removeUnfinished(aside);
  await mkdir(aside, { recursive: true, mode: 0o700 });
  try {
    const template = templateAt(aside, key, input.spec.shares.length > 0);
    await runAside(input, { kind: 'template', ram: template.ram }, async ({ qmp, process }, spec) => {
      await qmp.run('cont', undefined, signal);
      await awaitOrders(spec, qmp.closed, signal);
      await saveState(qmp, template, signal);
      signalProcess(process, 'SIGKILL');
      await isGone(process);
    });
    await sealTemplate(aside, template, settings.toolchain.id);
    await runAside(input, { kind: 'clone', ram: template.ram }, async ({ qmp }, spec) => {
      await loadClone({ qmp, spec, saved: template, signal });
      await qmp.run('cont', undefined, signal);
      const guest = await connectGuest(machineSockets(spec.runDir).agent, { timeout: BOOT_MS, ...(signal ? { signal } : {}) });
      await guest.close();
    });
    return await publishTemplate(root, aside, template);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
};

/** A QEMU of its own, whose end is the end of `work`, and of this process if that comes first. */
const runAside = async (
  input: MakeInput,
  beginning: Beginning,
  work: (launched: Launched, spec: MachineSpec) => Promise<void>,
): Promise<void> => {
  const { settings, signal } = input;
  const cleanup = new Cleanup();
  try {
    const dir = await mkdtemp(join(runtimeDir(), 't-'));
    cleanup.defer(() => rm(dir, { recursive: true, force: true }));
    const spec = {
      ...input.spec,
      name: 'template',
      runDir: join(dir, 'm'),
      consoleLog: join(dir, 'console'),
      disks: [],
      nics: [],
      shares: [],
    };
    await makeFolders(spec);
    const onSpawn = ({ pid }: ChildProcess) => {
      if (pid !== undefined) {
        const guard = endWithUs(pid);
        cleanup.defer(() => guard.release());
      }
    };
    const launched = await launchQemu({ settings, spec, nicSockets: [], beginning, cleanup, signal, onSpawn });
    await writeFileAtomic(processPath(join(input.root, `${input.key}.making`)), JSON.stringify(launched.process));
    await work(launched, spec);
  } finally {
    await cleanup.run();
  }
};

const processPath = (aside: string): string => join(aside, 'process.json');

/** What a maker that was killed left: its machine would wait for orders for ever. */
const removeUnfinished = async (aside: string): Promise<void> => {
  try {
    const identity = JSON.parse(await readFile(processPath(aside), 'utf8')) as ProcessIdentity;
    signalProcess(identity, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ENOENT') && !(error instanceof SyntaxError)) {
      throw error;
    }
  }
  await rm(aside, { recursive: true, force: true });
};

const READY = 'kestrel: waiting for orders';

/** The console says when: the agent itself must not be asked, or it would remember its first host. */
const awaitOrders = async (spec: MachineSpec, ended: Promise<void>, signal?: AbortSignal): Promise<void> => {
  const watcher = watch(spec.consoleLog);
  try {
    await withDeadline({ ms: BOOT_MS, what: "the boot of a template's machine", signal }, async (deadline) => {
      const died = ended.then(async () => {
        const details = await lastLines(spec.consoleLog, 10);
        throw new HyprError('GUEST_BOOT', "a template's machine ended before it was ready", { details });
      });
      const ready = new Promise<void>((resolve, reject) => {
        const look = () =>
          void readFile(spec.consoleLog, 'latin1').then((text) => {
            if (text.includes(READY)) {
              resolve();
            }
          }, reject);
        watcher.on('change', look).on('error', reject);
        look();
      });
      await Promise.race([ready, died, rejectOnAbort(deadline)]);
    });
  } finally {
    watcher.close();
  }
};
