import { appendFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../deadline.ts';
import { isErrno } from '../errors.ts';
import { isAlive, type ProcessIdentity, signalProcess } from './process.ts';

/*
 * Machines and networks have a record only when they have begun in full, and their processes outlive ours. So that those whose
 * beginning was cut short by the death of this process can be found, they are noted in their folder in the turn in which they are made.
 */

const begunPath = (runDir: string): string => join(runDir, 'begun');

/** Notes a process of the machine or network whose folder this is. At once: between two turns this process may be killed. */
export const noteBegun = (runDir: string, { pid, startTime }: ProcessIdentity): void => {
  appendFileSync(begunPath(runDir), `${pid} ${startTime}\n`, { mode: 0o600 });
};

/** Ends what was noted and removes the folder; nothing to do when there is none. Safe to repeat. */
export const sweepBegun = async (runDir: string): Promise<void> => {
  const processes = await readBegun(runDir);
  for (const process of processes) {
    signalProcess(process, 'SIGKILL');
  }
  await Promise.all(processes.map(awaitEnd));
  await rm(runDir, { recursive: true, force: true });
};

/** It is milliseconds away; processes that are not children give no event. */
const awaitEnd = async (process: ProcessIdentity): Promise<void> => {
  for (const deadline = Date.now() + GONE_MS; isAlive(process) && Date.now() < deadline; ) {
    await sleep(5);
  }
};

const GONE_MS = 10_000;

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
