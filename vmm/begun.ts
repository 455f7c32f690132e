import { appendFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../base/errors.ts';
import { type ProcessIdentity, signalProcess } from '../base/process.ts';
import { isGone } from './qemu/machine.ts';

/*
 * A machine has a record only when its VMM has begun in full, and its process outlives ours. So that one whose beginning was
 * cut short by the death of this process can be found, its processes are noted in its folder in the turn in which they are made.
 */

const begunPath = (runDir: string): string => join(runDir, 'begun');

/** Notes a process of the machine whose folder this is. At once: between two turns this process may be killed. */
export const noteBegun = (runDir: string, { pid, startTime }: ProcessIdentity): void => {
  appendFileSync(begunPath(runDir), `${pid} ${startTime}\n`, { mode: 0o600 });
};

/** Ends what was noted and removes the folder; nothing to do when there is none. Safe to repeat. */
export const sweepBegun = async (runDir: string): Promise<void> => {
  const processes = await readBegun(runDir);
  for (const process of processes) {
    signalProcess(process, 'SIGKILL');
  }
  await Promise.all(processes.map((process) => isGone(process)));
  await rm(runDir, { recursive: true, force: true });
};

const readBegun = async (runDir: string): Promise<ProcessIdentity[]> => {
  try {
    const text = await readFile(begunPath(runDir), 'latin1');
    return [...text.matchAll(/^(\d{1,10}) (\d{1,20})$/gm)].map(([, pid = '', startTime = '']) => ({ pid: Number(pid), startTime }));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  }
};
