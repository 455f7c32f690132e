import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkCRooms } from '../../scripts/lint/c-rooms.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hypr-rooms-'));
  const sources = (path: string) => !/\.\w+$/.test(path) || /\.[ch]$/.test(path);
  await Promise.all(
    ['guest/agent', 'net', 'vmm'].map((folder) => cp(join(ROOT, folder), join(root, folder), { recursive: true, filter: sources })),
  );
});
afterEach(() => rm(root, { recursive: true, force: true }));

const write = (path: string, text: string) => writeFile(join(root, 'guest/agent', path), text);

it('the C sources › keep to their rooms', () => {
  expect(checkCRooms()).toEqual([]);
  expect(checkCRooms(root)).toEqual([]);
});

it('an include › of a room above is a problem', async () => {
  await write('fs/bad.h', '#include "process/process.h"\n');
  expect(checkCRooms(root)).toEqual(['guest/agent/fs/bad.h: includes "process/process.h": the room process is above fs']);
});

it('an include › that closes a circle of modules is a problem', async () => {
  await write('lib/one.h', '');
  await write('lib/two.h', '');
  await write('lib/one.c', '#include "lib/one.h"\n#include "lib/two.h"\n');
  await write('lib/two.c', '#include "lib/two.h"\n#include "lib/one.h"\n');
  expect(checkCRooms(root)).toEqual(['guest/agent: a circle of includes: lib/one → lib/two → lib/one']);
});

it('an include › that is not there, or outside of the folder, is a problem', async () => {
  await write('lib/bad.h', '#include "lib/nothing.h"\n');
  expect(checkCRooms(root)).toEqual(['guest/agent/lib/bad.h: includes "lib/nothing.h", which is not in guest/agent']);
});

it('a source › without its header, in no room, or with a hidden declaration is a problem', async () => {
  await write('lib/lone.c', 'extern int x;\n');
  await write('stray.h', '');
  expect(checkCRooms(root)).toEqual([
    'guest/agent/lib/lone.c: has no header lib/lone.h',
    'guest/agent/lib/lone.c: declares by `extern` what it should include',
    'guest/agent/stray.h: is in no room; the rooms are lib, fs, dns, link, requests, ports, devices, share, sync, setup, step, process, watchers, handlers, core',
  ]);
});
