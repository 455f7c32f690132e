import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { notePendingProcess } from '../../../base/host/pending-processes.ts';
import { identifyProcess, type ProcessIdentity } from '../../../base/host/process.ts';
import { GUARD_SCRIPT, startBuildGuard } from '../../../engine/images/build-guard.ts';
import { until } from '../../support/until.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr guard-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prepare = (name: string) => {
  const paths = { runDir: join(folder, name), machineDir: join(folder, name, 'm'), disks: join(folder, `${name} disks`) };
  mkdirSync(paths.machineDir, { recursive: true });
  mkdirSync(paths.disks);
  return paths;
};

/** A process that names the folder on its command line, as a VMM names its sockets; its own name has blanks and a bracket. */
const startProcess = async (runDir: string): Promise<{ child: ChildProcess; identity: ProcessIdentity }> => {
  const code = "process.title = 'a) b'; console.log(1); setInterval(() => {}, 1e6)";
  const child = spawn(process.execPath, ['-e', code, join(runDir, 'qmp.sock')], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  const identity = identifyProcess(child.pid ?? 0);
  if (identity === undefined) {
    throw new Error('the process is gone');
  }
  return { child, identity };
};

/** Starts a guard as startBuildGuard does, and is killed with its input written. */
const OWNER = `
  const { stdin } = require('node:child_process').spawn('/bin/sh', ['-c', process.env.SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  stdin.write(process.env.INPUT, () => process.kill(process.pid, 'SIGKILL'));
`;

test('the build guard › kills what was noted for the build of a killed process, and nothing else', async () => {
  const { runDir, machineDir, disks } = prepare('killed');
  const machine = await startProcess(runDir);
  const sameFolder = await startProcess(runDir);
  const samePid = await startProcess(runDir);
  notePendingProcess(machineDir, { ...samePid.identity, startTime: '1' });
  notePendingProcess(machineDir, machine.identity);
  const gone = once(machine.child, 'exit');
  const env = { ...process.env, SCRIPT: GUARD_SCRIPT, INPUT: `${runDir}\n${disks}\n\n` };
  const owner = spawn(process.execPath, ['-e', OWNER], { stdio: 'ignore', env });
  owner.on('error', () => {});
  const [, signal] = (await gone) as [number | null, string];
  expect(signal).toBe('SIGKILL');
  await until(() => expect([existsSync(runDir), existsSync(disks)]).toEqual([false, false]));
  expect([sameFolder.child.signalCode, samePid.child.signalCode]).toEqual([null, null]);
  sameFolder.child.kill('SIGKILL');
  samePid.child.kill('SIGKILL');
});

test('the build guard › does nothing when the build ends by itself', async () => {
  const { runDir, machineDir, disks } = prepare('closed');
  const machine = await startProcess(runDir);
  notePendingProcess(machineDir, machine.identity);
  const guard = startBuildGuard({ runDir, folders: [disks] });
  await guard.close();
  expect([machine.child.signalCode, existsSync(runDir), existsSync(disks)]).toEqual([null, true, true]);
  machine.child.kill('SIGKILL');
});

test('the build guard › is waited for by a process that nothing else keeps alive', async () => {
  const { runDir, disks } = prepare('alone');
  const module = new URL('../../../engine/images/build-guard.ts', import.meta.url).href;
  const code = `import { startBuildGuard } from ${JSON.stringify(module)};
    const guard = startBuildGuard(${JSON.stringify({ runDir, folders: [disks] })});
    await guard.close();
    console.log('closed');`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  owner.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [status] = (await once(owner, 'close')) as [number | null];
  expect([said, status]).toEqual(['closed\n', 0]);
});
