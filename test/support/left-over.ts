import { rmSync } from 'node:fs';

const folders = new Set<string>();
const processes = new Set<{ kill(signal: 'SIGKILL'): boolean }>();

// A worker ends after its file, also when a hook failed or a test timed out.
process.once('exit', () => {
  for (const child of processes) {
    child.kill('SIGKILL');
  }
  for (const folder of folders) {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Removes the folder when this worker ends, whatever the tests did: the last resort after their own clean-up. */
export const removeAtExit = (folder: string): string => {
  folders.add(folder);
  return folder;
};

/** Kills a process when this worker ends; the returned function forgets it, for one that has ended. */
export const killAtExit = (child: { kill(signal: 'SIGKILL'): boolean }): (() => void) => {
  processes.add(child);
  return () => void processes.delete(child);
};
