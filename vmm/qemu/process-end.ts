import type { ChildProcess } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { linkedController } from '../../base/abort.ts';
import { withDeadline } from '../../base/deadline.ts';
import { ErrorTail } from '../../base/error-tail.ts';
import { HyprError } from '../../base/errors.ts';
import { removeCgroup } from '../../base/host/cgroup.ts';
import { isGone, type ProcessIdentity, signalProcess } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import { lastLines } from '../devices/console.ts';
import type { MachineRecord, MachineSpec } from '../model/machine.ts';
import { giveBackCards } from '../vfio/take-cards.ts';
import type { Qmp } from './qmp.ts';
import { CRASH_WORDS } from './run-states.ts';

const log = logger('vmm');

export const stderrPath = (record: Pick<MachineRecord, 'spec'>): string => join(record.spec.runDir, 'qemu.err');

/** Helpers and the run folder of a machine whose process is gone. */
export const removeLeftovers = async (record: Pick<MachineRecord, 'helpers' | 'spec' | 'cgroup'>): Promise<void> => {
  for (const helper of record.helpers) {
    signalProcess(helper, 'SIGKILL');
  }
  await Promise.all(record.helpers.map((helper) => isGone(helper)));
  if (record.cgroup !== undefined) {
    await removeCgroup(record.cgroup);
  }
  if (record.spec.cards !== undefined) {
    await giveBackCards(record.spec.runDir);
  }
  await rm(record.spec.runDir, { recursive: true, force: true });
};

export const childEnd = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((resolve) => child.once('exit', () => resolve()));

/** Pure: how a QEMU ended of which nobody said why; of one that another process started only that it did. */
export const endWords = (child: Pick<ChildProcess, 'signalCode' | 'exitCode'> | undefined): string =>
  child?.signalCode
    ? `QEMU was killed by ${child.signalCode}`
    : `QEMU ended unexpectedly${child?.exitCode ? ` with exit code ${child.exitCode}` : ''}`;

/** The last lines of QEMU's stderr and of its guest's console, with the kernel's first word of a panic, whose registers and calls come below it. */
export const endLines = async (record: Pick<MachineRecord, 'spec'>): Promise<string[]> => {
  const tail = new ErrorTail(10);
  for (const line of await lastLines(record.spec.consoleLog, 200)) {
    tail.add(line);
  }
  return [...(await lastLines(stderrPath(record), 5)), ...tail.lines];
};

/** From the closing of its monitor to the end of a QEMU. */
const ENDING_MS = 1_000;

export interface RunningInput {
  readonly child: ChildProcess;
  readonly process: ProcessIdentity;
  readonly qmp: Pick<Qmp, 'closed' | 'onEvent'>;
  readonly spec: MachineSpec;
  /** For the message: "a template's machine". */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Does `work` with a QEMU that is no `QemuMachine`, one that becomes a template or a zygote, or tests one. When it ends by itself the signal
 * of the work aborts, and GUEST_BOOT is thrown whatever the work failed with: how it ended, and the last lines of its stderr and console.
 * Called before the guest runs, because QEMU says why it ends before it does.
 */
export const whileItRuns = async (input: RunningInput, work: (signal: AbortSignal) => Promise<void>): Promise<void> => {
  const alive = linkedController(input.signal);
  let isDone = false;
  const ended = followEnd(input, () => isDone).then((error) => {
    alive.abort(error);
    return error;
  });
  try {
    await work(alive.signal);
    isDone = true;
  } catch (error) {
    input.signal?.throwIfAborted();
    throw (await isGone(input.process, ENDING_MS)) ? ((await ended) ?? error) : error;
  }
};

/** Undefined for an end that was meant. */
const followEnd = async ({ child, qmp, spec, what }: RunningInput, wasMeant: () => boolean): Promise<HyprError | undefined> => {
  let said: string | undefined;
  qmp.onEvent(({ event, data }) => {
    if (event === 'SHUTDOWN') {
      const reason = String(data.reason);
      said ??= CRASH_WORDS[reason] ?? reason;
    }
  });
  await qmp.closed;
  if (wasMeant()) {
    return undefined;
  }
  await withDeadline({ ms: ENDING_MS, what: 'the end of QEMU' }, () => childEnd(child)).catch(() => {});
  return new HyprError('GUEST_BOOT', `${what} ended before it was ready (${said ?? endWords(child)})`, {
    // Files that cannot be read say nothing of the end, which is what is told.
    details: await endLines({ spec }).catch(() => []),
  });
};

/** What vmm/preload/refused.c writes for a system call that the fence refused. */
const REFUSED_CALL = 'fence: refused system call ';

/** What a QEMU tried and might not: a sign that it was taken over, or that its fence lacks something. */
export const logRefused = async (record: Pick<MachineRecord, 'spec'>): Promise<void> => {
  const lines = await lastLines(stderrPath(record), 200).catch(() => []);
  const calls = new Set(lines.filter((line) => line.startsWith(REFUSED_CALL)).map((line) => line.slice(REFUSED_CALL.length)));
  if (calls.size > 0) {
    log.warn('the fence of a machine refused system calls', { machine: record.spec.name, numbers: [...calls].slice(0, 20).join(' ') });
  }
};
