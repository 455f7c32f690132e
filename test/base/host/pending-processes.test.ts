import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { notePendingProcess, sweepPendingProcesses } from '../../../base/host/pending-processes.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from '../../../base/host/process.ts';

const begin = (): ProcessIdentity => {
  const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const identity = identifyProcess(child.pid ?? 0);
  if (identity === undefined) {
    throw new Error('sleep did not start');
  }
  return identity;
};

const folder = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-pending-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

test('sweepPendingProcesses › ends what was noted for a machine without a record, and nothing else', async () => {
  const dir = folder();
  const mine = [begin(), begin()];
  const other = begin();
  for (const identity of mine) {
    notePendingProcess(dir, identity);
  }
  // The same pid, but another process: one that was given it later.
  notePendingProcess(dir, { pid: other.pid, startTime: '1' });
  await sweepPendingProcesses(dir);
  expect(mine.map(isAlive)).toEqual([false, false]);
  expect(isAlive(other)).toBe(true);
  expect(existsSync(dir)).toBe(false);
  await sweepPendingProcesses(dir);
});

test('a file that is cut off in the middle of a line is read up to there', async () => {
  const dir = folder();
  const mine = begin();
  notePendingProcess(dir, mine);
  writeFileSync(join(dir, 'pending'), `${mine.pid}`, { flag: 'a' });
  await sweepPendingProcesses(dir);
  expect(isAlive(mine)).toBe(false);
});
