import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mustRun } from '../../base/host/process.ts';
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
  expect(readdirSync(folder.path).filter((name) => name.startsWith('jail-'))).toHaveLength(1);
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

describe('on a kernel that lacks', () => {
  const deny = join(folder.path, 'deny');
  beforeAll(() => mustRun('gcc', ['-o', deny, fileURLToPath(new URL('deny.c', import.meta.url))]));
  const start = async (letters: string, flags: string[]) => {
    const jail = await compileJail(folder.path);
    return spawnSync(deny, [letters, jail, '--run', folder.path, ...flags, '--', '/bin/true'], { encoding: 'utf8' });
  };

  it.each([
    ['Landlock', 'l', [], /files=0 tcp-bind=0 seccomp=1/],
    ['Landlock, without binds', 'l', ['--no-bind'], /tcp-bind=0 seccomp=1 bind=1/],
    ['namespaces, internal', 'u', ['--internal'], /seccomp=1 bind=0 netns=0/],
    ['Landlock and namespaces, internal', 'lu', ['--internal'], /files=0 tcp-bind=0 seccomp=1 bind=0 netns=0/],
  ])('%s it does what is left and says so', async (_what, letters, flags, report) => {
    const result = await start(letters, flags);
    expect(result.status).toBe(0);
    expect(result.stderr).toMatch(report);
  });

  it.each([
    ['Landlock and seccomp', 'ls', [], 'guests could remove files of the host'],
    ['seccomp and namespaces, internal', 'su', ['--internal'], 'the network would not be internal'],
  ])('%s it starts nothing', async (_what, letters, flags, reason) => {
    const result = await start(letters, flags);
    expect(result.status).toBe(71);
    expect(result.stderr).toContain('error=this kernel gives neither');
    expect(result.stderr).toContain(reason);
  });
});
