import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { mustRun } from '../../base/host/process.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-disks-'));
  const sources = [at('./disks_test.c'), at('../../guest/agent/devices/disks.c'), at('../../guest/agent/lib/files.c')];
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-DDISKS_ROOT="."', `-I${at('../../guest/agent')}`];
  await mustRun('gcc', [...flags, ...sources, '-o', join(folder, 'find')]);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(async () => {
  await Promise.all(['sys', 'dev'].map((name) => rm(join(folder, name), { recursive: true, force: true })));
  await mkdir(join(folder, 'dev'));
});

/** What /sys shows of a disk. */
const show = async (name: string, serial: string) => {
  await mkdir(join(folder, 'sys/block', name), { recursive: true });
  await writeFile(join(folder, 'sys/block', name, 'serial'), serial);
};

/** Opening a socket gives ENXIO, as opening a disk does that is not whole yet, or not any more. */
const occupy = async (name: string): Promise<() => Promise<void>> => {
  const server = net.createServer().listen(join(folder, 'dev', name));
  await once(server, 'listening');
  return async () => {
    server.close();
    await once(server, 'close');
  };
};

const find = (serial: string) => {
  const child: ChildProcess = spawn('./find', [serial], { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  return {
    says: async () => (await lines.next()).value as string,
    event: () => child.stdin?.write('.'),
  };
};

it('a disk that /sys shows but nobody can open yet is waited for', async () => {
  await show('vda', 'cache\n');
  const free = await occupy('vda');
  const search = find('cache');
  expect([await search.says(), await search.says()]).toEqual(['listens', 'waits 30000']);
  search.event();
  expect(await search.says()).toBe('waits 30000');
  await free();
  await writeFile(join(folder, 'dev/vda'), '');
  search.event();
  expect(await search.says()).toBe('found ./dev/vda open');
});

it('a disk that goes is not taken for the one with its serial that comes', async () => {
  await show('vda', 'cache');
  const free = await occupy('vda');
  await show('vdb', 'other');
  await writeFile(join(folder, 'dev/vdb'), '');
  const search = find('cache');
  expect([await search.says(), await search.says()]).toEqual(['listens', 'waits 30000']);
  await show('vdc', 'cache');
  await writeFile(join(folder, 'dev/vdc'), '');
  search.event();
  expect(await search.says()).toBe('found ./dev/vdc open');
  await free();
});

it('a disk that is there is found without waiting', async () => {
  await show('vda', '');
  await show('vdb', 'cache ');
  await writeFile(join(folder, 'dev/vdb'), '');
  expect(await find('cache').says()).toBe('found ./dev/vdb open');
});
