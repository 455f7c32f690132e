import { readFileSync } from 'node:fs';
import { isMachineCommand } from '../qemu/command.ts';

/** Whether a process is a machine's VMM, and not one that only reads its files. False when there is no such process, or it is another user's. */
export const isMachineProcess = (pid: number): boolean => {
  try {
    return isMachineCommand(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'));
  } catch {
    return false;
  }
};
