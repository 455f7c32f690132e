import type { ChildProcess } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { removeCgroup } from '../../base/host/cgroup.ts';
import { isGone, signalProcess } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import { lastLines } from '../devices/console.ts';
import type { MachineRecord } from '../model/machine.ts';

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
  await rm(record.spec.runDir, { recursive: true, force: true });
};

export const childEnd = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((resolve) => child.once('exit', () => resolve()));

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
