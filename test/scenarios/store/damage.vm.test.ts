import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CrashHome } from '../../support/crash-home.ts';
import { TestStack } from '../../support/stack.ts';

// A home whose disk has lost some bytes, with a stack, its data and its image in it.

let home: CrashHome;
let stack: TestStack;
beforeAll(async () => {
  home = await CrashHome.make('damage');
  stack = await new TestStack('damage', home.env).write({
    'compose.yaml': `
services:
  app:
    image: busybox
    command: sleep infinity
    volumes: [data:/data]
volumes:
  data:
`,
  });
});
afterAll(async () => {
  await stack.close();
  await home.remove();
});

/** Inverts a byte in the middle of each place of a file that has these bytes. */
const damage = (path: string, text: string): void => {
  const bytes = readFileSync(path);
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) {
    const middle = at + Math.floor(text.length / 2);
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  }
  writeFileSync(path, bytes);
};

test('a damaged database is named by every command, mended by check --repair, and loses no volume', async () => {
  await stack.must(['up', '-d']);
  await stack.must(['exec', '-T', 'app', 'sh', '-c', 'echo kept > /data/file; sync']);
  await stack.must(['down']);
  damage(join(home.dir, 'hypr.db'), 'damage_data');

  const told = await stack.run(['up', '-d']);
  expect([told.code, told.stderr]).toEqual([1, expect.stringContaining('hypr system check --repair')]);
  expect(told.stderr).toContain('STATE_DAMAGED');

  const repaired = await home.run(['system', 'check', '--repair']);
  expect([repaired.code, repaired.stdout]).toEqual([0, expect.stringContaining('made again: volume damage_data')]);
  await stack.must(['up', '-d']);
  expect(await stack.must(['exec', '-T', 'app', 'cat', '/data/file'])).toBe('kept\n');
});

/** Changes a column of all rows of a table as a disk would: the checksums are those of what was there. */
const change = (table: string, column: string): void => {
  const db = new Database(join(home.dir, 'hypr.db'));
  db.prepare(`UPDATE ${table} SET ${column} = '/other', sum = sum + 4294967296`).run();
  db.close();
};

/** Ends the supervisor that a refused repair names, and repairs. */
const repairWithoutSupervisor = async () => {
  const refused = await home.run(['system', 'check', '--repair']);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/their machines go on: kill \d+\n/)]);
  const pid = Number(/kill (\d+)/.exec(refused.stderr)?.[1]);
  process.kill(pid);
  await expect.poll(() => readdirSync('/proc').includes(String(pid)), { timeout: 30_000 }).toBe(false);
  return await home.run(['system', 'check', '--repair']);
};

const bootOf = () => stack.must(['exec', '-T', 'app', 'cat', '/proc/sys/kernel/random/boot_id']);

test('while a supervisor has it open, repair says whom to end; machines go on and are taken over', async () => {
  const before = await bootOf();
  change('volumes', 'path');
  expect(await repairWithoutSupervisor()).toMatchObject({ code: 0, stdout: expect.stringContaining('made again: volume damage_data') });
  expect(await bootOf()).toBe(before);
});

test('a machine whose record is lost is ended, and the next up makes another with the same data', async () => {
  const before = await bootOf();
  change('vms', 'config_hash');
  const repaired = await repairWithoutSupervisor();
  expect([repaired.code, repaired.stdout]).toEqual([0, expect.stringMatching(/lost: the machine of damage-app-1, process \d+/)]);
  await stack.must(['up', '-d']);
  expect(await bootOf()).not.toBe(before);
  expect(await stack.must(['exec', '-T', 'app', 'cat', '/data/file'])).toBe('kept\n');
});

test('a layer that is lost goes with its image, and the next up pulls that again', async () => {
  await stack.must(['down']);
  const layers = join(home.dir, 'images', 'layers');
  for (const name of readdirSync(layers)) {
    writeFileSync(join(layers, name, 'layer.tar'), 'gone');
  }
  const repaired = await home.run(['system', 'check', '--repair']);
  expect([repaired.code, repaired.stdout]).toEqual([0, expect.stringContaining('lost: name busybox')]);
  await stack.must(['up', '-d']);
  expect(await stack.must(['exec', '-T', 'app', 'cat', '/data/file'])).toBe('kept\n');
});
