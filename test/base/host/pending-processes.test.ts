import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { noteBegun, sweepBegun } from '../../../base/host/pending-processes.ts';
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
  const dir = mkdtempSync(join(tmpdir(), 'hypr-begun-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

test('what was begun for a machine without a record is ended, and nothing else', async () => {
  const dir = folder();
  const mine = [begin(), begin()];
  const other = begin();
  for (const identity of mine) {
    noteBegun(dir, identity);
  }
  // The same pid, but another process: one that was given it later.
  noteBegun(dir, { pid: other.pid, startTime: '1' });
  await sweepBegun(dir);
  expect(mine.map(isAlive)).toEqual([false, false]);
  expect(isAlive(other)).toBe(true);
  expect(existsSync(dir)).toBe(false);
  await sweepBegun(dir);
});

test('a file that is cut off in the middle of a line is read up to there', async () => {
  const dir = folder();
  const mine = begin();
  noteBegun(dir, mine);
  writeFileSync(join(dir, 'begun'), `${mine.pid}`, { flag: 'a' });
  await sweepBegun(dir);
  expect(isAlive(mine)).toBe(false);
});
