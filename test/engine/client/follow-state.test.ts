import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { followState } from '../../../engine/client/follow-state.ts';
import { openStateReader, openStateStore } from '../../../engine/state/store.ts';

let home: string;
let database: string;
let over: AbortController;
/** How often a change was told. */
let told: number;
let following: Promise<void>;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hypr-follow-'));
  database = join(home, 'hypr.db');
  over = new AbortController();
  told = 0;
});
afterEach(async () => {
  over.abort();
  await following;
  rmSync(home, { recursive: true, force: true });
});

const follow = (): void => {
  following = (async () => {
    for await (const _ of followState(database, over.signal)) {
      told += 1;
    }
  })();
};
const write = (name: string): void => {
  const store = openStateStore(database);
  store.putVolume({ name, stack: '', key: name, form: 'folder', path: join(home, name), labels: {}, createdAt: 1 });
  store.close();
};

test('what is written is told, whoever wrote it; what is read is not', async () => {
  write('one');
  follow();
  await expect.poll(() => told).toBe(1);
  write('two');
  await expect.poll(() => told).toBe(2);
  for (let count = 0; count < 5; count++) {
    const reader = openStateReader(database);
    reader.stacks();
    reader.close();
  }
  await sleep(300);
  expect(told).toBe(2);
  write('three');
  await expect.poll(() => told).toBe(3);
});

test('a database that is not there yet is told when it is made; the abort ends it', async () => {
  follow();
  await expect.poll(() => told).toBe(1);
  write('one');
  await expect.poll(() => told).toBeGreaterThan(1);
  over.abort();
  await following;
});
