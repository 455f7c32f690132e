import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Cleanup } from '../../base/cleanup.ts';
import { HyprError, isErrno } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/host/files.ts';
import { isGone, type ProcessIdentity, signalProcess } from '../../base/host/process.ts';
import { runtimeDir } from '../../base/paths.ts';
import { connectGuest } from '../../guest/client/client.ts';
import type { GuestClient } from '../../guest/types.ts';
import type { MachineSpec } from '../model/machine.ts';
import { loadClone, type Saved, saveState } from '../qemu/clone.ts';
import { type Beginning, machineSockets, type QemuSettings } from '../qemu/command.ts';
import { type Launched, launchQemu, makeFolders } from '../qemu/launch.ts';
import { whileItRuns } from '../qemu/process-end.ts';
import { endWithUs } from './guard.ts';
import { MAKER_PREFIX, noteMaker } from './leftovers.ts';

/** Software emulation boots in 2–4 s; a loaded host may take many times that. */
export const BOOT_MS = 120_000;

export interface MakeInput {
  readonly settings: QemuSettings;
  /** Folder of all templates. */
  readonly root: string;
  readonly key: string;
  /** Any machine of the class, which is its processors, its memory and whether it has shares. */
  readonly spec: MachineSpec;
  readonly signal?: AbortSignal | undefined;
}

/** Runs `make` with an empty staging folder. It is removed after a failure, and by the next maker if this one is killed. */
export const withStaging = async <T>({ root, key }: MakeInput, make: (staging: string) => Promise<T>): Promise<T> => {
  const staging = join(root, `${key}.making`);
  await removeUnfinished(staging);
  await mkdir(staging, { recursive: true, mode: 0o700 });
  try {
    return await make(staging);
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    throw error;
  }
};

/** A machine that becomes a template, or that tests one. */
export interface Beside {
  readonly beginning: Beginning;
  readonly disks: MachineSpec['disks'];
  /** What it begins from. */
  readonly saved?: Saved;
}

/**
 * Runs a QEMU for the duration of `work`, whose signal aborts with GUEST_BOOT when the machine ends by itself; it also ends if this process
 * is killed.
 */
export const runBeside = async (
  input: MakeInput,
  { beginning, disks, saved }: Beside,
  work: (launched: Launched, spec: MachineSpec, signal: AbortSignal) => Promise<void>,
): Promise<void> => {
  const { settings, signal } = input;
  const cleanup = new Cleanup();
  try {
    const dir = await mkdtemp(join(runtimeDir(), MAKER_PREFIX));
    cleanup.defer(() => rm(dir, { recursive: true, force: true }));
    await noteMaker(dir);
    const place = { name: 'template', runDir: join(dir, 'm'), consoleLog: join(dir, 'console') };
    const folder = join(input.root, `${input.key}.making`);
    const spec = { ...input.spec, ...place, folder, disks, nics: [], shares: [] };
    await makeFolders(spec);
    const onSpawn = ({ pid }: ChildProcess) => {
      if (pid !== undefined) {
        const guard = endWithUs(pid);
        cleanup.defer(() => guard.release());
      }
    };
    const launched = await launchQemu({ settings, spec, inherits: [], beginning, saved, cleanup, signal, onSpawn });
    await writeFileAtomic(processPath(join(input.root, `${input.key}.making`)), JSON.stringify(launched.process));
    await whileItRuns({ ...launched, spec, what: "a template's machine", signal }, (alive) => work(launched, spec, alive));
  } finally {
    await cleanup.run();
  }
};

/** Runs a clone until its agent answers, does `work` with it, and ends it. */
export const runClone = (input: MakeInput, beside: Beside, saved: Saved, work: GuestWork = async () => {}): Promise<void> =>
  runBeside(input, { ...beside, saved }, async (launched, spec, signal) => {
    await loadClone({ qmp: launched.qmp, spec, saved, signal });
    await launched.qmp.run('cont', undefined, signal);
    const guest = await connectGuest(machineSockets(spec.runDir).agent, { timeout: BOOT_MS, signal });
    try {
      await work(guest, launched, signal);
    } finally {
      await guest.close();
    }
  });

type GuestWork = (guest: GuestClient, launched: Launched, signal: AbortSignal) => Promise<void>;

/**
 * Saves a machine's state and ends the machine, because it must not write to its memory file once that belongs to a template.
 * Throws HYPR_TIMEOUT if it does not end: then its files may still change and cannot become a template.
 */
export const saveAndEnd = async ({ qmp, process }: Launched, saved: Saved, signal?: AbortSignal): Promise<void> => {
  await saveState(qmp, saved, signal);
  signalProcess(process, 'SIGKILL');
  if (!(await isGone(process))) {
    throw new HyprError('HYPR_TIMEOUT', `the machine of a template was saved and does not end (pid ${process.pid})`);
  }
};

/** Removes the note of the maker's process, which a finished template does not need. */
export const forgetMaker = (staging: string): Promise<void> => rm(processPath(staging), { force: true });

const processPath = (staging: string): string => join(staging, 'process.json');

/** Removes the leftovers of a killed maker, and ends its machine, which would wait for ever. */
const removeUnfinished = async (staging: string): Promise<void> => {
  try {
    const identity = JSON.parse(await readFile(processPath(staging), 'utf8')) as ProcessIdentity;
    signalProcess(identity, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ENOENT') && !(error instanceof SyntaxError)) {
      throw error;
    }
  }
  await rm(staging, { recursive: true, force: true });
};
