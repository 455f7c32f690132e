import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { notePendingProcess } from '../../../base/host/pending-processes.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from '../../../base/host/process.ts';
import { homePaths } from '../../../base/paths.ts';
import { findTemplateLeftovers, noteMaker, sweepMakerFolders } from '../../../vmm/template/leftovers.ts';
import { lockPath, templatesFolder } from '../../../vmm/template/store.ts';
import { tempDir } from '../support.ts';

const identityOf = (pid: number | undefined): ProcessIdentity => {
  const identity = identifyProcess(pid ?? 0);
  if (identity === undefined) {
    throw new Error('it has ended already');
  }
  return identity;
};

/** The identity of a process that is gone. */
const deadMaker = async (): Promise<ProcessIdentity> => {
  const child = spawn('sleep', ['60']);
  const identity = identityOf(child.pid);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return identity;
};

describe('what a killed maker of templates left', () => {
  it('is found, and what belongs to a living one is not', async () => {
    const [paths, runDir] = [homePaths(tempDir()), tempDir()];
    const dead = await deadMaker();
    const root = templatesFolder(paths);
    for (const dir of [join(runDir, 't-dead'), join(runDir, 't-mine'), join(root, 'aa.making'), join(root, 'bb.making'), paths.locks]) {
      await mkdir(dir, { recursive: true });
    }
    await noteMaker(join(runDir, 't-mine'));
    await writeFile(join(runDir, 't-dead', 'maker'), JSON.stringify(dead));
    const target = ({ pid, startTime }: ProcessIdentity) => `${pid} ${startTime}`;
    await symlink(target(dead), lockPath(paths, 'aa'));
    await symlink(target(identityOf(process.pid)), lockPath(paths, 'bb'));
    const lines = await findTemplateLeftovers(paths, runDir);
    expect(lines.map((line) => line.replace(/:.*/, ''))).toEqual([join(runDir, 't-dead'), join(root, 'aa.making'), lockPath(paths, 'aa')]);
  });

  it('is swept with the machine that it left running', async () => {
    const runDir = tempDir();
    const machine = spawn('sleep', ['60']);
    const identity = identityOf(machine.pid);
    await mkdir(join(runDir, 't-dead', 'm'), { recursive: true });
    await mkdir(join(runDir, 't-mine'));
    await noteMaker(join(runDir, 't-mine'));
    await writeFile(join(runDir, 't-dead', 'maker'), JSON.stringify(await deadMaker()));
    notePendingProcess(join(runDir, 't-dead', 'm'), identity);
    await Promise.all([once(machine, 'exit'), sweepMakerFolders(runDir)]);
    expect(isAlive(identity)).toBe(false);
    expect(await readdir(runDir)).toEqual(['t-mine']);
  });

  it('is nothing where nothing was made', async () => {
    expect(await findTemplateLeftovers(homePaths(tempDir()), tempDir())).toEqual([]);
  });
});
