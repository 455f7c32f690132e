import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mustRun } from '../../../base/host/process.ts';
import { TestStack } from '../../support/stack.ts';

/** The program reads a pipe that somebody always has open. */
const COMPOSE = `
services:
  app:
    image: busybox
    command: [sh, -c, 'mkdir -p /own/guest /own/place && mkfifo /own/pipe && { sleep 100000 > /own/pipe & exec /app/sync_folders /src /own/guest /own/place watch < /own/pipe; }']
    privileged: true
    stop_grace_period: 0s
    volumes: ['./app:/app', './src:/src', 'own:/own']
volumes: { own: }
`;

const FILES = 300;
const PATIENT = { timeout: 60_000, interval: 50 };
const AGENT = fileURLToPath(new URL('../../../guest/agent/', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../guest/sync_folders.c', import.meta.url));

/** The agent's code for synced folders on a share of virtiofs, whose kernel remembers names and attributes for a second. */
describe('a share and a folder of the machine that are kept equal', () => {
  let stack: TestStack;
  const path = (name: string) => join(stack.dir, 'src', name);

  beforeAll(async () => {
    stack = await new TestStack('kept-equal').write({ 'compose.yaml': COMPOSE, 'app/x': '', 'src/a/b/file': 'one' });
    for (let i = 0; i < FILES; i++) {
      writeFileSync(path(`a/${i}`), `content ${i}`);
    }
    await compile(join(stack.dir, 'app/sync_folders'));
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
  }, 240_000);
  afterAll(() => stack?.close());

  const logs = async (): Promise<string> => stack.must(['logs', '--no-log-prefix', 'app']);
  const inMachine = async (script: string): Promise<string> => stack.must(['exec', '-T', 'app', 'sh', '-c', script]);
  const count = (text: string, word: string) => text.split('\n').filter((line) => line === word).length;
  /** Says these lines, and waits until nothing is left to do. */
  const settle = async (script: string, ...lines: string[]): Promise<void> => {
    const before = count(await logs(), 'idle');
    await inMachine([script, ...[...lines, 'i'].map((line) => `echo ${line} > /own/pipe`)].filter(Boolean).join(' && '));
    await expect.poll(async () => count(await logs(), 'idle'), PATIENT).toBeGreaterThan(before);
  };

  test('are equal once all was looked at', async () => {
    await settle('', 'a');
    expect(await inMachine('cd /own/guest && find . -type f | wc -l && cat a/b/file a/299')).toBe(
      `${FILES + 1}\none` + `content ${FILES - 1}`,
    );
  });

  test('get what is changed in the machine, and what it removes', async () => {
    await settle(
      'echo guest > /own/guest/a/b/file && mkdir -p /own/guest/new/deep && echo 1 > /own/guest/new/deep/x && rm /own/guest/a/0',
      'g a/b/file',
      'g new',
      'g a/0',
    );
    expect(readFileSync(path('a/b/file'), 'utf8')).toBe('guest\n');
    expect(readFileSync(path('new/deep/x'), 'utf8')).toBe('1\n');
    expect(existsSync(path('a/0'))).toBe(false);
  });

  test('get what programs in the machine change without being told of it', async () => {
    await inMachine(
      'cd /own/guest && mkdir -p tree/a && for i in 0 1 2 3 4 5 6 7 8 9; do echo $i > tree/a/$i; sleep 0.3; done; mv tree/a tree/b; ln -s b/9 tree/link; chmod 750 tree/b/3; rm tree/b/4',
    );
    await expect
      .poll(() => existsSync(path('tree/b/9')) && !existsSync(path('tree/a')) && !existsSync(path('tree/b/4')), PATIENT)
      .toBe(true);
    await expect.poll(() => lstatSync(path('tree/b/3')).mode & 0o777, PATIENT).toBe(0o750);
    await settle('');
    expect(readlinkSync(path('tree/link'))).toBe('b/9');
    await inMachine('echo one > /own/guest/a/1; echo two >> /own/guest/a/1');
    await expect.poll(() => readFileSync(path('a/1'), 'utf8'), PATIENT).toBe('one\ntwo\n');
  });

  test('lose nothing that replaced a file here a moment ago, of which the kernel in the machine does not know yet', async () => {
    for (let round = 1; round <= 5; round++) {
      // So that its name is remembered.
      await inMachine('stat /src/a/b/file > /dev/null');
      writeFileSync(path('a/b/other'), `host ${round}`);
      renameSync(path('a/b/other'), path('a/b/file'));
      await settle(`stat /src/a/b/file > /dev/null; echo guest ${round} > /own/guest/a/b/file`, 'g a/b/file');
      expect(readFileSync(path('a/b/file'), 'utf8')).toBe(`host ${round}`);
      expect(readFileSync(path(`a/b/file.hypr-conflict-${round}`), 'utf8')).toBe(`guest ${round}\n`);
      expect(await inMachine('cat /own/guest/a/b/file')).toBe(`host ${round}`);
    }
  });

  test('follow a folder that became another one, and leave nothing of their own', async () => {
    renameSync(path('a'), path('was'));
    mkdirSync(path('a'));
    writeFileSync(path('a/only'), '1');
    rmSync(path('new'), { recursive: true });
    await settle('', 'h a', 'h was', 'h new');
    const here = (await readdir(path(''), { recursive: true })).sort();
    const there = (await inMachine('cd /own/guest && find . -mindepth 1')).trim().split('\n');
    expect(there.map((name) => name.slice(2)).sort()).toEqual(here);
    expect(here.filter((name) => name.includes('.hypr-sync-'))).toEqual([]);
    expect(await inMachine('ls /own/place')).toBe('');
  });
});

const compile = async (out: string): Promise<void> => {
  const parts = (await readdir(join(AGENT, 'sync'))).filter((name) => name.endsWith('.c')).map((name) => join(AGENT, 'sync', name));
  await mustRun('gcc', ['-std=gnu11', '-D_GNU_SOURCE', '-O1', '-static', '-I', AGENT, PROGRAM, ...parts, '-o', out]);
};
