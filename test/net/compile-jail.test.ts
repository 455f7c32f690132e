import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { compileJail } from '../../net/compile-jail.ts';
import { landlockAbi } from '../../net/landlock.ts';
import { makeFolder } from './helpers.ts';

const folder = makeFolder();
afterAll(() => folder.remove());

it('compiles once, tells the ABI, and refuses command lines it does not understand', async () => {
  const jail = await compileJail(folder.path);
  const { mtimeMs, ino } = statSync(jail);
  expect(await compileJail(folder.path)).toBe(jail);
  expect(statSync(jail)).toMatchObject({ mtimeMs, ino });
  expect(readdirSync(folder.path)).toHaveLength(1);
  expect(await landlockAbi(jail)).toBeGreaterThanOrEqual(0);
  for (const args of [
    [],
    ['--run'],
    ['--run', '/tmp'],
    ['--run', '/tmp', '--'],
    ['--run', '/tmp', '--', 'relative'],
    ['--', '/bin/true'],
    ['--wrong'],
  ]) {
    expect(spawnSync(jail, args).status).toBe(64);
  }
  await expect(landlockAbi('/bin/false')).rejects.toMatchObject({ code: 'HYPR_INTERNAL' });
});

it('starts nothing that is not there, with the reason', async () => {
  const jail = await compileJail(folder.path);
  const result = spawnSync(jail, ['--run', folder.path, '--', '/nonexistent'], { encoding: 'utf8' });
  expect(result.status).toBe(71);
  expect(result.stderr).toContain('error=cannot start /nonexistent: No such file or directory');
});

it('confines any program: files, removal, sockets', async () => {
  const jail = await compileJail(folder.path);
  const run = (flags: string[], script: string) =>
    spawnSync(jail, ['--run', folder.path, ...flags, '--read', '/bin', '--read', '/usr/bin', '--', '/bin/sh', '-c', script], {
      encoding: 'utf8',
    });
  expect(run([], `echo x > ${folder.path}/made`).status).not.toBe(0);
  expect(run([], `rm ${jail}`).stderr).toMatch(/No such file|cannot remove/);
  expect(run([], 'while read line; do echo "$line"; done < /proc/$$/status').stdout).toMatch(/NoNewPrivs:\s+1[\s\S]*Seccomp:\s+2/);
  expect(run([], 'echo $GODEBUG').stdout).toBe('multipathtcp=0\n');
  expect(statSync(jail).isFile()).toBe(true);
});
