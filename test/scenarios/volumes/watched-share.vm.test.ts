import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileC } from '../../../base/host/compile.ts';
import { TestStack } from '../../support/stack.ts';

const COMPOSE = `
services:
  app:
    image: busybox
    command: [/app/watcher, /app, /app/src, /app/src/main.js, /read/src]
    stop_grace_period: 0s
    volumes: ['./app:/app', './read:/read:ro']
  other:
    image: busybox
    command: sleep 100000
    stop_grace_period: 0s
    volumes: ['./app:/app']
`;

const PATIENT = { timeout: 60_000, interval: 200 };

/** Programs in a machine that watch a folder of this host, as development servers do. */
describe('programs that watch a bind mount', () => {
  let stack: TestStack;
  const path = (name: string) => join(stack.dir, 'app', name);

  beforeAll(async () => {
    stack = await new TestStack('watched').write({ 'compose.yaml': COMPOSE, 'app/src/main.js': 'one', 'read/src/main.js': 'one' });
    const source = join(dirname(fileURLToPath(import.meta.url)), 'watcher.c');
    copyFileSync(await compileC({ source, outDir: join(stack.dir, 'made') }), path('watcher'));
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    // The first edits may come before this host watches: one that is seen says that it does.
    for (let told = await events(); !told.includes('/app/src/begin') || !told.includes('/read/src/begin'); told = await events()) {
      writeFileSync(path('src/begin'), String(Math.random()));
      writeFileSync(path('../read/src/begin'), String(Math.random()));
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await quiet();
  });
  afterAll(() => stack?.close());

  const events = async (): Promise<string> => stack.must(['logs', '--no-log-prefix', 'app']);
  /** Until nothing more comes. */
  const quiet = async (): Promise<string> => {
    let before = '';
    for (let now = await events(); now !== before; now = await events()) {
      before = now;
      await new Promise((resolve) => setTimeout(resolve, 1_500));
    }
    return before;
  };
  /** Lines that come after `edit`, until one of them is `last`. */
  const toldAfter = async (edit: () => unknown, last: string): Promise<string[]> => {
    const before = (await quiet()).length;
    await edit();
    await expect.poll(async () => (await events()).slice(before).split('\n'), PATIENT).toContain(last);
    return (await quiet()).slice(before).trim().split('\n');
  };

  test('are told of a file that is written here, with its new size, and nothing of it changes by that', async () => {
    let before = statSync(path('src/main.js'));
    const told = await toldAfter(() => {
      writeFileSync(path('src/main.js'), 'edited');
      before = statSync(path('src/main.js'));
    }, 'CLOSE_WRITE /app/src/main.js 6');
    expect(told).toContain('MODIFY /app/src/main.js 6');
    const now = statSync(path('src/main.js'));
    expect([now.mtimeMs, now.ctimeMs, now.size, now.mode]).toEqual([before.mtimeMs, before.ctimeMs, before.size, before.mode]);
    expect(readFileSync(path('src/main.js'), 'utf8')).toBe('edited');
  });

  test('are told of a new file, of one in a new folder’s place, and of a folder from which one is gone', async () => {
    await toldAfter(() => writeFileSync(path('src/new.js'), '12345'), 'CLOSE_WRITE /app/src/new.js 5');
    await toldAfter(() => mkdirSync(path('src/folder'), { mode: 0o755 }), `CREATE /app/src/folder ${statSync(path('src')).size}`);
    expect(statSync(path('src/folder')).mode & 0o7777).toBe(0o755);
    expect(await stack.must(['exec', '-T', 'app', '/bin/busybox', 'ls', '-d', '/app/src/folder'])).toBe('/app/src/folder\n');
    const told = await toldAfter(() => rmSync(path('src/new.js')), `ATTRIB /app/src ${statSync(path('src')).size}`);
    expect(told.filter((line) => line.includes('new.js'))).toEqual([]);
  });

  test('are told of the same where the bind is :ro, and nobody in the machine can write there', async () => {
    const told = await toldAfter(() => writeFileSync(path('../read/src/main.js'), 'edited'), 'CLOSE_WRITE /read/src/main.js 6');
    expect(told).toContain('MODIFY /read/src/main.js 6');
    await toldAfter(() => mkdirSync(path('../read/src/folder')), `CREATE /read/src/folder ${statSync(path('../read/src')).size}`);
    // Its mount in the machine is writable for who finds it: the host refuses.
    const write =
      'mkdir /tmp/m; mount -t virtiofs share1 /tmp/m && cat /tmp/m/src/main.js && for c in "touch /tmp/m/src/main.js" "mkdir /tmp/m/new"; do $c; done';
    const { stdout, stderr } = await stack.run(['exec', '-T', '--privileged', 'app', 'sh', '-c', write]);
    expect([stdout, stderr.match(/Read-only file system/g)?.length]).toEqual(['edited', 2]);
    expect(readFileSync(path('../read/src/main.js'), 'utf8')).toBe('edited');
  });

  test('are told of a program by its attributes alone, because nobody can run what is being written', async () => {
    writeFileSync(path('src/run.sh'), '#!/bin/sh\n', { mode: 0o755 });
    const told = await toldAfter(() => writeFileSync(path('src/run.sh'), '#!/bin/sh\n#\n', { mode: 0o755 }), 'ATTRIB /app/src/run.sh 12');
    expect(told.filter((line) => /(MODIFY|WRITE) .*run.sh/.test(line))).toEqual([]);
  });

  test('are told what they change themselves once, as by any kernel', async () => {
    const told = await toldAfter(
      () => stack.must(['exec', '-T', 'app', '/app/watcher', '=/app/src/own', 'x']),
      'CLOSE_WRITE /app/src/own 1',
    );
    expect(told).toEqual(
      ['CREATE /app/src/own 1', 'MODIFY /app/src/own 1', 'CLOSE_WRITE /app/src/own 1'].map((line) =>
        expect.stringMatching(line.replace(/ \d$/, ' \\d')),
      ),
    );
    // Also of a file that is made and not written to yet when the host tells.
    await stack.must(['exec', '-T', 'app', 'sh', '-c', ': > /app/src/empty']);
    expect((await quiet()).split('\n').filter((line) => line.includes('/app/src/empty'))).toEqual([
      'CREATE /app/src/empty 0',
      'CLOSE_WRITE /app/src/empty 0',
    ]);
    await stack.must(['exec', '-T', 'app', '/bin/busybox', 'mv', '/app/src/own', '/app/src/moved']);
    expect((await quiet()).split('\n').filter((line) => line.includes('MODIFY /app/src/moved'))).toEqual([]);
  });

  test('are told what another machine with the same folder writes', async () => {
    await toldAfter(
      () => stack.must(['exec', '-T', 'other', 'sh', '-c', 'echo of the other > /app/src/theirs']),
      'CLOSE_WRITE /app/src/theirs 13',
    );
  });

  test('see each of 500 files that a checkout replaces', async () => {
    for (let i = 0; i < 500; i += 1) {
      writeFileSync(path(`src/${i}`), 'a');
    }
    const told = await toldAfter(() => {
      for (let i = 0; i < 500; i += 1) {
        rmSync(path(`src/${i}`));
        writeFileSync(path(`src/${i}`), `b${i}`);
      }
    }, 'CLOSE_WRITE /app/src/499 4');
    const seen = new Set(told.filter((line) => line.startsWith('CLOSE_WRITE')));
    expect(
      Array.from({ length: 500 }, (_, i) => `CLOSE_WRITE /app/src/${i} ${1 + String(i).length}`).filter((line) => !seen.has(line)),
    ).toEqual([]);
  });

  test('are told of the end of a file that an editor replaces, and of the one in its place', async () => {
    const told = await toldAfter(() => {
      writeFileSync(path('src/.main.js.swp'), 'replaced');
      renameSync(path('src/.main.js.swp'), path('src/main.js'));
    }, 'DELETE_SELF /app/src/main.js 8');
    expect(told).toContain('CLOSE_WRITE /app/src/main.js 8');
    expect(await stack.must(['exec', '-T', 'other', 'cat', '/app/src/main.js'])).toBe('replaced');
  });
});
