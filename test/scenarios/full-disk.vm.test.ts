import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { noNamespace } from '../support/mount-namespace.ts';
import { needs } from '../support/needs.ts';
import { SmallDisk } from '../support/small-disk.ts';

/** For so long the clock of the machine stands. */
const HELD_MS = 20_000;
const COMPOSE = `
name: full
services:
  db:
    image: busybox
    init: true
    command: sh -c 'while [ ! -e /data/go ]; do sleep 0.2; done; dd if=/dev/urandom of=/data/big bs=1M count=64 conv=fsync && sha256sum </data/big >/data/sum && echo written; sleep 100000'
    volumes: ["data:/data"]
  web:
    image: busybox
    init: true
    command: sleep 100000
volumes: { data: {} }
`;

needs(noNamespace()).describe("the host's disk is full", () => {
  let disk: SmallDisk;
  let folder: string;
  const env = (): NodeJS.ProcessEnv => ({ HYPR_REGISTRY_MIRRORS: inject('mirrors'), HYPR_EDGE_PORT: '0', HYPR_DNS_PORT: '0' });
  const compose = (...args: string[]) => disk.run(['-f', join(folder, 'compose.yaml'), ...args], env());
  const must = (...args: string[]) => disk.must(['-f', join(folder, 'compose.yaml'), ...args], env());
  const status = async (): Promise<string> => must('ps', '-a', '--format', '{{.Service}} {{.Status}}');

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-full-'));
    await writeFile(join(folder, 'compose.yaml'), COMPOSE);
    disk = await SmallDisk.open(1500);
    await must('up', '-d');
  });
  afterAll(async () => {
    await compose('down', '-v', '-t', '0');
    await disk.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('a machine that cannot write is held, says so, and goes on when there is space; nothing is lost', async () => {
    await disk.fill(40);
    await must('exec', '-T', 'db', 'touch', '/data/go');
    await expect.poll(status, { timeout: 60_000 }).toMatch(/^db Up .*\(held: disk full\)$/m);
    expect(await must('exec', '-T', 'web', 'echo', 'others run')).toBe('others run\n');
    await sleep(HELD_MS);
    await disk.free();
    await expect.poll(() => must('logs', '--no-log-prefix', 'db'), { timeout: 60_000 }).toMatch(/^written$/m);
    expect(await status()).not.toMatch(/held/);
    const late = async () => Date.now() / 1000 - Number(await must('exec', '-T', 'db', 'date', '+%s'));
    await expect.poll(late, { timeout: 60_000 }).toBeLessThan(HELD_MS / 2000);
    const sums = await must('exec', '-T', 'db', 'sh', '-c', 'sha256sum </data/big; cat /data/sum');
    expect(new Set(sums.trim().split('\n')).size).toBe(1);
  });

  test('stop, start, kill and down -v work when not a byte is left', async () => {
    await disk.fill(0);
    await must('stop', '-t', '1', 'web');
    expect(await status()).toMatch(/^web Exited/m);
    await must('kill', 'db');
    await expect.poll(status).toMatch(/^db Exited \(137\)/m);
    await must('rm', '-f', 'web');
    await must('down', '-v');
    expect(await disk.must(['volume', 'ls', '-q'], env())).toBe('');
    await disk.free();
  });
});
