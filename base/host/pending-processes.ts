import { appendFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.ts';
import { isGone, type ProcessIdentity, signalProcess } from './process.ts';

/*
 * The processes of machines and networks outlive ours, but they are recorded in the database only when the machine or network
 * is complete. Until then they are pending, and noted in a file of their run folder as soon as they are started: if this process
 * is killed in between, the next one finds them there.
 */

/** In a run folder: a line `PID START_TIME` for each process. */
export const PENDING_FILE = 'pending';

const pendingPath = (runDir: string): string => join(runDir, PENDING_FILE);

/** Notes a process in its run folder. Synchronous, because this process may be killed between two turns of the event loop. */
export const notePendingProcess = (runDir: string, { pid, startTime }: ProcessIdentity): void => {
  appendFileSync(pendingPath(runDir), `${pid} ${startTime}\n`, { mode: 0o600 });
};

/** Kills the processes that are noted in a run folder, and removes the folder; does nothing when there is none. Safe to repeat. */
export const sweepPendingProcesses = async (runDir: string): Promise<void> => {
  const processes = await readPending(runDir);
  for (const process of processes) {
    signalProcess(process, 'SIGKILL');
  }
  await Promise.all(processes.map((process) => isGone(process)));
  await rm(runDir, { recursive: true, force: true });
};

const readPending = async (runDir: string): Promise<ProcessIdentity[]> => {
  try {
    const text = await readFile(pendingPath(runDir), 'latin1');
    return [...text.matchAll(/^(\d{1,10}) (\d{1,20})$/gm)].map(([, pid = '', startTime = '']) => ({ pid: Number(pid), startTime }));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  }
};
