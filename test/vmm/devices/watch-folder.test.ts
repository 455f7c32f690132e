import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { ChangeDecoder, mostFolders, watchFolder } from '../../../vmm/devices/watch-folder.ts';
import type { FolderChange } from '../../../vmm/model/machine.ts';
import { compileShareJail } from '../../../vmm/toolchain/sources.ts';
import { tempDir } from '../support.ts';

describe('the watcher of a shared folder', () => {
  const made = mkdtempSync(join(tmpdir(), 'hypr-watcher-'));
  let program: string;
  const open: AbortController[] = [];

  beforeAll(async () => {
    program = await compileShareJail(made);
  });
  afterAll(() => rmSync(made, { recursive: true, force: true }));
  afterEach(() => {
    for (const controller of open.splice(0)) {
      controller.abort();
    }
  });

  /** Watches a folder, and gives what was told since the last time once `until` is among it. */
  const watch = async (path: string) => {
    const controller = new AbortController();
    open.push(controller);
    const told: FolderChange[] = [];
    let wake = () => {};
    const ended = (async () => {
      for await (const changes of watchFolder({ program, path, signal: controller.signal })) {
        told.push(...changes);
        wake();
      }
    })();
    ended.catch(() => wake());
    const until = async (line: string): Promise<string[]> => {
      const lines = () => told.map((change) => `${change.kind} ${change.path}`.trim());
      while (!lines().includes(line)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const all = lines();
      told.length = 0;
      return all;
    };
    await until('ready');
    return { until, ended, stop: () => controller.abort() };
  };

  it('tells what is written, new and gone, with its path from the folder', async () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'src'));
    writeFileSync(join(dir, 'src/a'), '1');
    const { until } = await watch(dir);
    writeFileSync(join(dir, 'src/a'), '2');
    expect(new Set(await until('written src/a'))).toEqual(new Set(['written src/a']));
    writeFileSync(join(dir, 'src/.a.tmp'), '3');
    renameSync(join(dir, 'src/.a.tmp'), join(dir, 'src/a'));
    expect(await until('appeared src/a')).toContain('gone src/.a.tmp');
    rmSync(join(dir, 'src/a'));
    expect(await until('gone src/a')).not.toContain('appeared src/a');
  });

  it('watches folders that are made later, and tells what is in them already', async () => {
    const dir = tempDir();
    const { until } = await watch(dir);
    mkdirSync(join(dir, 'a/b/c'), { recursive: true });
    writeFileSync(join(dir, 'a/b/c/f'), '1');
    const told = await until('appeared a/b/c/f');
    expect(told).toEqual(expect.arrayContaining(['appeared a']));
    writeFileSync(join(dir, 'a/b/c/f'), '22');
    await until('written a/b/c/f');
  });

  it('follows a folder to its new name, and tells nothing of one that was moved out', async () => {
    const [dir, outside] = [tempDir(), tempDir()];
    mkdirSync(join(dir, 'old/deep'), { recursive: true });
    mkdirSync(join(dir, 'secret/deep'), { recursive: true });
    const { until } = await watch(dir);
    renameSync(join(dir, 'old'), join(dir, 'new'));
    renameSync(join(dir, 'secret'), join(outside, 'secret'));
    await until('gone secret');
    writeFileSync(join(outside, 'secret/deep/key'), '1');
    writeFileSync(join(dir, 'new/deep/f'), '1');
    const told = await until('appeared new/deep/f');
    expect(told.filter((line) => line.includes('secret') || line.includes('old'))).toEqual([]);
  });

  it('follows no link, neither one that is there nor one that takes the place of a folder', async () => {
    const [dir, outside] = [tempDir(), tempDir()];
    symlinkSync(outside, join(dir, 'link'));
    mkdirSync(join(dir, 'folder'));
    const { until } = await watch(dir);
    rmSync(join(dir, 'folder'), { recursive: true });
    symlinkSync(outside, join(dir, 'folder'));
    await until('appeared folder');
    writeFileSync(join(outside, 'key'), '1');
    writeFileSync(join(dir, 'last'), '1');
    expect((await until('appeared last')).filter((line) => line.includes('key'))).toEqual([]);
  });

  it('leaves out what is inside of .git and node_modules', async () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'node_modules/x'), { recursive: true });
    mkdirSync(join(dir, '.git'));
    const { until } = await watch(dir);
    writeFileSync(join(dir, 'node_modules/x/f'), '1');
    writeFileSync(join(dir, '.git/index'), '1');
    writeFileSync(join(dir, 'last'), '1');
    expect((await until('appeared last')).filter((line) => /node_modules|git/.test(line))).toEqual([]);
  });

  it('watches more folders than it is given at first, also such as are made later', async () => {
    const dir = tempDir();
    const deep = (name: string) => {
      for (let i = 0; i < 200; i += 1) {
        mkdirSync(join(dir, `${name}/${i}/last`), { recursive: true });
      }
    };
    deep('first');
    const { until } = await watch(dir);
    writeFileSync(join(dir, 'first/199/last/f'), '1');
    expect(await until('appeared first/199/last/f')).not.toContain('limit');
    deep('later');
    writeFileSync(join(dir, 'later/199/last/f'), '1');
    expect(await until('appeared later/199/last/f')).not.toContain('limit');
  });

  it('tells of 2,000 files at once, each of them', async () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'src'));
    const { until } = await watch(dir);
    for (let i = 0; i < 2_000; i += 1) {
      writeFileSync(join(dir, `src/${i}`), 'x');
    }
    writeFileSync(join(dir, 'last'), '1');
    const told = new Set(await until('appeared last'));
    expect(Array.from({ length: 2_000 }, (_, i) => `appeared src/${i}`).filter((line) => !told.has(line))).toEqual([]);
  });

  it('ends with the signal, and says so of a folder that is not there', async () => {
    const dir = tempDir();
    const { ended, stop } = await watch(dir);
    stop();
    await ended;
    const changes = watchFolder({ program, path: `${dir}/nothing`, signal: new AbortController().signal });
    await expect(changes.next()).rejects.toMatchObject({ code: 'VMM_START', message: expect.stringContaining('is not watched') });
  });

  it('watches no more folders than it may, says so, and tells of those above', async () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'a/b/c/d/e'), { recursive: true });
    const child = spawn(program, ['--watch', dir, '3'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const decoder = new ChangeDecoder();
    const told: string[] = [];
    child.stdout.on('data', (chunk: Buffer) => told.push(...decoder.push(chunk).map(({ kind, path }) => `${kind} ${path}`.trim())));
    await expect.poll(() => told, { timeout: 10_000 }).toEqual(['limit', 'ready']);
    writeFileSync(join(dir, 'a/b/c/unseen'), '1');
    writeFileSync(join(dir, 'a/b/seen'), '1');
    await expect.poll(() => told, { timeout: 10_000 }).toContain('appeared a/b/seen');
    expect(told).not.toContain('appeared a/b/c/unseen');
    child.kill('SIGKILL');
  });
});

describe('how many folders one share may have watched', () => {
  it.each([
    ['8192\n', 2_048],
    ['1048576\n', 16_384],
    ['3', 1],
    ['', 2_048],
  ])('is of %j a quarter within bounds: %i', (limit, most) => {
    expect(mostFolders(limit)).toBe(most);
  });

  it('leaves half of what the user may watch to others, however many shares a guest fills with folders', () => {
    const all: number[] = [];
    const sum = () => all.reduce((before, most) => before + most, 0);
    while (all.length < 100) {
      all.push(mostFolders('65536', sum()));
    }
    expect(all.slice(0, 3)).toEqual([16_384, 8_192, 4_096]);
    expect(sum()).toBeLessThan(65_536 / 2 + 100);
    expect(mostFolders('8192', 4 * 64)).toBe(1_920);
  });

  it('is less by what others hold, not by how many they are, and as before when they have ended', async () => {
    const dir = tempDir();
    const program = join(dir, 'said');
    // One that has as many folders as it may watch, or few.
    const shell = `most=$3
      while [ -e ${dir}/greedy ] && printf 'm\\0' && read -r next && [ "$next" -gt "$most" ]; do most=$next; done
      echo "$most" >> ${dir}/most; printf 'r\\0'; exec sleep 600`;
    writeFileSync(program, `#!/bin/sh\n${shell}\n`, { mode: 0o755 });
    const ends: Array<() => Promise<unknown>> = [];
    const begin = async () => {
      const controller = new AbortController();
      const changes = watchFolder({ program, path: dir, signal: controller.signal });
      ends.push(() => {
        controller.abort();
        return changes.return(undefined);
      });
      await changes.next();
    };
    const endAll = () => Promise.all(ends.splice(0).map((end) => end()));
    onTestFinished(async () => void (await endAll()));
    const told = () => readFileSync(join(dir, 'most'), 'utf8').trim().split('\n').map(Number);
    const greedy = async () => {
      writeFileSync(join(dir, 'greedy'), '');
      await begin();
      rmSync(join(dir, 'greedy'));
      return told().at(-1) ?? 0;
    };
    const alone = await greedy();
    await endAll();
    for (let count = 0; count < 5; count += 1) {
      await begin();
    }
    expect(await greedy()).toBeGreaterThan(alone / 2);
    await endAll();
    expect(await greedy()).toBe(alone);
  }, 60_000);
});

describe('records of the watcher', () => {
  it('are read from pieces of any length', () => {
    const decoder = new ChangeDecoder();
    const bytes = Buffer.from('wa/b\0ngrün\nx\0l\0');
    const read = [...bytes].flatMap((byte) => decoder.push(Buffer.from([byte])));
    expect(read).toEqual([
      { kind: 'written', path: 'a/b' },
      { kind: 'appeared', path: 'grün\nx' },
      { kind: 'limit', path: '' },
    ]);
  });

  it('are refused when they have no end or no known kind', () => {
    expect(() => new ChangeDecoder().push(Buffer.alloc(10_000, 'w'))).toThrow('nobody understands');
    expect(() => new ChangeDecoder().push(Buffer.from('?x\0'))).toThrow('nobody understands');
  });
});
