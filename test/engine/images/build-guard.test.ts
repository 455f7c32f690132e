import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GUARD_SCRIPT, startBuildGuard } from '../../../engine/images/build-guard.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr guard-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prepare = (name: string) => {
  const paths = { runDir: join(folder, name), disks: join(folder, `${name} disks`) };
  mkdirSync(paths.runDir);
  mkdirSync(paths.disks);
  return paths;
};

/** As a VMM names its sockets. */
const pretendMachine = (runDir: string) =>
  spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)', join(runDir, 'qmp.sock')], { stdio: 'ignore' });

/** Starts a guard as startBuildGuard does, and is killed with its orders given. */
const OWNER = `
  const { stdin } = require('node:child_process').spawn('/bin/sh', ['-c', process.env.SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  stdin.write(process.env.ORDERS, () => process.kill(process.pid, 'SIGKILL'));
`;

test('what belongs to a build ends with a process that is killed, and nothing else does', async () => {
  const { runDir, disks } = prepare('killed');
  const machine = pretendMachine(runDir);
  const other = pretendMachine(join(folder, 'killed-not'));
  const gone = once(machine, 'exit');
  const env = { ...process.env, SCRIPT: GUARD_SCRIPT, ORDERS: `${runDir}/\n${disks}\n\n` };
  const owner = spawn(process.execPath, ['-e', OWNER], { stdio: 'ignore', env });
  owner.on('error', () => {});
  const [, signal] = (await gone) as [number | null, string];
  expect(signal).toBe('SIGKILL');
  expect(other.exitCode).toBeNull();
  other.kill('SIGKILL');
});

test('a build that ends by itself dismisses its guard', async () => {
  const { runDir, disks } = prepare('closed');
  const machine = pretendMachine(runDir);
  const guard = startBuildGuard({ runDir, folders: [disks] });
  await guard.close();
  expect([machine.exitCode, existsSync(runDir), existsSync(disks)]).toEqual([null, true, true]);
  machine.kill('SIGKILL');
});
