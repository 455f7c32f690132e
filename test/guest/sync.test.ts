import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { sleep } from '../../base/deadline.ts';
import { mustRun } from '../../base/host/process.ts';
import { randomNumbers, SEED, times } from '../support/seed.ts';

// The part of the agent that keeps a synced folder, under the sanitizers, on two folders of this host.

const AGENT = fileURLToPath(new URL('../../guest/agent/', import.meta.url));
const PROGRAM = fileURLToPath(new URL('sync_folders.c', import.meta.url));

let dir: string;
const program = () => join(dir, 'sync');
beforeAll(async () => {
  dir = fs.mkdtempSync(join(tmpdir(), 'hypr-sync-'));
  const parts = fs.readdirSync(join(AGENT, 'sync')).filter((name) => name.endsWith('.c'));
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-DKESTREL_HOST_TEST', '-g', '-O1'];
  const checks = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  const sources = [PROGRAM, ...parts.map((name) => join(AGENT, 'sync', name))];
  await mustRun('gcc', [...flags, ...checks, '-I', AGENT, ...sources, '-o', program()]);
}, 60_000);
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

type Side = 'host' | 'guest';
type Program = ChildProcessByStdio<Writable, Readable, null>;

/** Names are bytes. */
const bytes = (path: string): Buffer => Buffer.from(path, 'latin1');

class Folders {
  readonly base = fs.mkdtempSync(join(dir, 't-'));
  readonly news: string[] = [];
  #process: Program | undefined;
  #waiting: { word: string; done: () => void } | undefined;

  constructor() {
    for (const name of ['host', 'guest', 'place']) {
      fs.mkdirSync(join(this.base, name));
    }
  }

  async start(): Promise<void> {
    const child = spawn(
      program(),
      ['host', 'guest', 'place'].map((name) => join(this.base, name)),
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    this.#process = child;
    void this.#listen(child);
    await this.#said('ready');
  }

  async #listen(child: Program): Promise<void> {
    for await (const line of createInterface({ input: child.stdout })) {
      const word = line === 'new' || line === 'loaded' ? 'ready' : line;
      if (word === 'ready' || word === 'idle' || word === 'saved') {
        this.#waiting?.word === word && this.#waiting.done();
      } else {
        this.news.push(line);
      }
    }
  }

  #said(word: string): Promise<void> {
    return new Promise((done) => {
      this.#waiting = { word, done };
    });
  }

  say(line: string): void {
    this.#process?.stdin.write(bytes(`${line}\n`));
  }

  /** As if it had been told of each of these paths. */
  touched(side: Side, ...paths: string[]): void {
    for (const path of paths) {
      this.say(`${side === 'host' ? 'h' : 'g'} ${path}`);
    }
  }

  async idle(): Promise<void> {
    const said = this.#said('idle');
    this.say('i');
    await said;
  }

  async all(): Promise<void> {
    this.say('a');
    await this.idle();
  }

  async save(): Promise<void> {
    const said = this.#said('saved');
    this.say('s');
    await said;
  }

  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  goOn(): void {
    this.#process?.kill('SIGCONT');
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill(signal);
      await ended;
    }
  }

  path(side: Side, name = ''): Buffer {
    return Buffer.concat([bytes(join(this.base, side)), bytes(name === '' ? '' : `/${name}`)]);
  }

  /** A line for each path: its kind, mode and content. */
  tree(side: Side, folder = ''): Map<string, string> {
    const found = new Map<string, string>();
    for (const name of fs.readdirSync(this.path(side, folder), { encoding: 'latin1' }).sort()) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const info = fs.lstatSync(this.path(side, path));
      const mode = (info.mode & 0o7777).toString(8);
      if (info.isDirectory()) {
        found.set(path, `folder ${mode}`);
        for (const [key, value] of this.tree(side, path)) {
          found.set(key, value);
        }
      } else if (info.isSymbolicLink()) {
        found.set(path, `link ${fs.readlinkSync(this.path(side, path), 'latin1')}`);
      } else if (info.isFile()) {
        found.set(path, `file ${mode} ${fs.readFileSync(this.path(side, path), 'latin1')}`);
      }
    }
    return found;
  }

  expectEqual(): void {
    expect(Object.fromEntries(this.tree('guest'))).toEqual(Object.fromEntries(this.tree('host')));
  }
}

const open = async (fill?: (folders: Folders) => void): Promise<Folders> => {
  const folders = new Folders();
  onTestFinished(() => folders.end());
  fill?.(folders);
  await folders.start();
  await folders.all();
  return folders;
};

const write = (folders: Folders, side: Side, name: string, content: string, mode = 0o644): void => {
  fs.writeFileSync(folders.path(side, name), content);
  fs.chmodSync(folders.path(side, name), mode);
};

describe('what is done with a path of a synced folder', () => {
  it('follows from what changed on each side', () => {
    const table = Object.fromEntries(
      execFileSync(program(), { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map((line) => line.split(': ') as [string, string]),
    );
    expect(table).toEqual({
      'same same clean': 'nothing',
      'same same unclean': 'nothing',
      'same changed clean': 'to host',
      'same changed unclean': 'compare',
      'same gone clean': 'delete host',
      'same gone unclean': 'delete host',
      'changed same clean': 'to guest',
      'changed same unclean': 'to guest',
      'changed changed clean': 'compare',
      'changed changed unclean': 'compare',
      'changed gone clean': 'to guest',
      'changed gone unclean': 'to guest',
      'gone same clean': 'delete guest',
      'gone same unclean': 'delete guest',
      'gone changed clean': 'to host',
      'gone changed unclean': 'to host',
      'gone gone clean': 'forget',
      'gone gone unclean': 'forget',
    });
  });
});

describe('a synced folder', () => {
  it('is filled with files, folders, links, modes and names that are no UTF-8', async () => {
    const folders = await open((each) => {
      fs.mkdirSync(each.path('host', 'empty'), { mode: 0o700 });
      fs.mkdirSync(each.path('host', 'a/b/c'), { recursive: true });
      write(each, 'host', 'a/b/c/file', 'content', 0o755);
      write(each, 'host', 'no\xff\xfeutf', 'bytes', 0o600);
      fs.symlinkSync('../../etc/passwd', each.path('host', 'a/link'));
      fs.linkSync(each.path('host', 'a/b/c/file'), each.path('host', 'hard'));
      write(each, 'host', 'sparse', '');
      fs.truncateSync(each.path('host', 'sparse'), 3_000_001);
      fs.utimesSync(each.path('host', 'sparse'), 1_000_000, 1_000_000);
    });
    folders.expectEqual();
    expect(folders.tree('guest').size).toBe(9);
    expect(fs.statSync(folders.path('guest', 'sparse')).blocks).toBeLessThan(1_000);
    expect(fs.statSync(folders.path('guest', 'sparse')).mtimeMs).toBe(1_000_000_000);
    expect(folders.news).toEqual([]);
  });

  it('leaves a pipe where it is and says so once', async () => {
    const folders = await open((each) => execFileSync('mkfifo', [join(each.base, 'host/pipe')]));
    await folders.all();
    expect(folders.news).toEqual(['left pipe']);
    expect(fs.readdirSync(folders.path('guest'))).toEqual([]);
  });

  it('keeps both files, the host under its name, when both sides changed', async () => {
    const folders = await open((each) => write(each, 'host', 'file', 'both'));
    write(folders, 'host', 'file', 'of the host');
    write(folders, 'guest', 'file', 'of the guest');
    folders.touched('guest', 'file');
    await folders.idle();
    folders.expectEqual();
    expect([...folders.tree('host')]).toEqual([
      ['file', 'file 644 of the host'],
      ['file.hypr-conflict-1', 'file 644 of the guest'],
    ]);
    expect(folders.news).toEqual(['conflict file.hypr-conflict-1']);
  });

  it('keeps what was changed when the other side removed it, with its folder', async () => {
    const folders = await open((each) => {
      fs.mkdirSync(each.path('host', 'a/b'), { recursive: true });
      write(each, 'host', 'a/b/one', '1');
      write(each, 'host', 'a/b/two', '2');
    });
    fs.rmSync(folders.path('guest', 'a'), { recursive: true });
    write(folders, 'host', 'a/b/two', 'changed');
    folders.touched('guest', 'a');
    await folders.idle();
    folders.expectEqual();
    expect([...folders.tree('guest').keys()]).toEqual(['a', 'a/b', 'a/b/two']);
    expect(folders.news).toEqual([]);
  });

  it('keeps what only one side has where the other one makes a file of the folder', async () => {
    const folders = await open((each) => fs.mkdirSync(each.path('host', 'a')));
    fs.rmdirSync(folders.path('guest', 'a'));
    write(folders, 'guest', 'a', 'file');
    write(folders, 'host', 'a/inside', 'kept');
    folders.touched('guest', 'a');
    await folders.idle();
    folders.expectEqual();
    expect(folders.tree('host').get('a/inside')).toBe('file 644 kept');
    expect(folders.tree('host').get('a.hypr-conflict-1')).toBe('file 644 file');
  });

  it('follows no link that one side puts in the place of a folder', async () => {
    const folders = await open((each) => {
      fs.mkdirSync(each.path('host', 'a'));
      write(each, 'host', 'a/file', '1');
    });
    const outside = fs.mkdtempSync(join(dir, 'outside-'));
    fs.writeFileSync(join(outside, 'file'), 'not of the folder');
    fs.rmSync(folders.path('host', 'a'), { recursive: true });
    fs.symlinkSync(outside, folders.path('host', 'a'));
    write(folders, 'guest', 'a/file', 'changed');
    folders.touched('guest', 'a/file');
    folders.touched('host', 'a');
    await folders.idle();
    await folders.all();
    folders.expectEqual();
    expect(fs.readFileSync(join(outside, 'file'), 'utf8')).toBe('not of the folder');
    expect(fs.readdirSync(outside)).toEqual(['file']);
    expect([...folders.tree('host').values()]).toContain('file 644 changed');
  });

  it('knows after a restart who changed what', async () => {
    const folders = await open((each) => {
      for (const name of ['h', 'g', 'gone-h', 'gone-g', 'same']) {
        write(each, 'host', name, '1');
      }
    });
    await folders.save();
    await folders.end();
    write(folders, 'host', 'h', 'host');
    write(folders, 'guest', 'g', 'guest');
    fs.rmSync(folders.path('host', 'gone-h'));
    fs.rmSync(folders.path('guest', 'gone-g'));
    await folders.start();
    await folders.all();
    folders.expectEqual();
    expect([...folders.tree('host')]).toEqual([
      ['g', 'file 644 guest'],
      ['h', 'file 644 host'],
      ['same', 'file 644 1'],
    ]);
    expect(folders.news).toEqual([]);
  });

  it('overwrites nothing of the host when the machine had ended without a word', async () => {
    const folders = await open((each) => write(each, 'host', 'file', 'whole'));
    await folders.save();
    await folders.end();
    write(folders, 'guest', 'file', '');
    await folders.start();
    folders.say('u');
    // Nothing was looked at yet.
    await folders.idle();
    await folders.all();
    folders.expectEqual();
    expect(folders.tree('host').get('file')).toBe('file 644 whole');
    expect(folders.news).toEqual(['conflict file.hypr-conflict-1']);
  });

  it('takes a mode that was changed without copying', async () => {
    const folders = await open((each) => write(each, 'host', 'file', '1'));
    const { ino } = fs.statSync(folders.path('host', 'file'));
    fs.chmodSync(folders.path('guest', 'file'), 0o751);
    folders.touched('guest', 'file');
    await folders.idle();
    expect(fs.statSync(folders.path('host', 'file'))).toMatchObject({ ino, mode: 0o100751 });
  });

  it('copies a file that is written all the time', async () => {
    const folders = await open();
    const timer = setInterval(() => {
      fs.appendFileSync(folders.path('guest', 'log'), 'x');
      folders.touched('guest', 'log');
    }, 7);
    await sleep(4_500);
    expect(fs.existsSync(folders.path('host', 'log'))).toBe(true);
    clearInterval(timer);
    folders.touched('guest', 'log');
    await folders.idle();
    folders.expectEqual();
    expect(folders.news).toEqual([]);
  }, 20_000);
});

// ---- anything, at any moment ----

const NAMES = ['a', 'b', 'c', '\xe9\xff'];

/** Changes of one side, which note what they destroyed of what that side had. */
class Actor {
  readonly #folders: Folders;
  readonly #side: Side;
  readonly #number: (below: number) => number;
  readonly written: Set<string>;
  readonly destroyed: Set<string>;

  constructor(folders: Folders, side: Side, number: (below: number) => number, written: Set<string>, destroyed: Set<string>) {
    [this.#folders, this.#side, this.#number, this.written, this.destroyed] = [folders, side, number, written, destroyed];
  }

  act(): void {
    const [path, other] = [this.#path(), this.#path()];
    try {
      const ways = [this.#write, this.#write, this.#replace, this.#remove, this.#folder, this.#rename, this.#mode, this.#link];
      ways[this.#number(ways.length)]?.call(this, path, other);
    } catch {
      // A file in the way, or none there: the next one.
    }
    this.#folders.touched(this.#side, path, other);
  }

  #path(): string {
    return Array.from({ length: 1 + this.#number(3) }, () => NAMES[this.#number(NAMES.length)]).join('/');
  }

  #at = (path: string) => this.#folders.path(this.#side, path);

  #lose(path: string): void {
    const info = fs.lstatSync(this.#at(path), { throwIfNoEntry: false });
    if (info?.isDirectory()) {
      for (const name of fs.readdirSync(this.#at(path), { encoding: 'latin1' })) {
        this.#lose(`${path}/${name}`);
      }
    } else if (info?.isFile()) {
      this.destroyed.add(fs.readFileSync(this.#at(path), 'latin1'));
    }
  }

  #token(): string {
    const token = `${this.#side} ${this.written.size} ${'x'.repeat(this.#number(3) * 50_000)}`;
    this.written.add(token);
    return token;
  }

  #write(path: string): void {
    this.#lose(path);
    const fd = fs.openSync(
      this.#at(path),
      fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_NOFOLLOW,
      0o644,
    );
    fs.writeSync(fd, this.#token());
    fs.closeSync(fd);
  }

  #replace(path: string): void {
    fs.writeFileSync(join(this.#folders.base, 'new'), '');
    this.#lose(path);
    const token = this.#token();
    try {
      fs.writeFileSync(join(this.#folders.base, 'new'), token);
      fs.renameSync(join(this.#folders.base, 'new'), this.#at(path));
    } catch {
      this.destroyed.add(token);
    }
  }

  #remove(path: string): void {
    this.#lose(path);
    fs.rmSync(this.#at(path), { recursive: true });
  }

  #folder(path: string): void {
    fs.mkdirSync(this.#at(path), { recursive: true });
  }

  #rename(path: string, other: string): void {
    const [from, to] = [fs.lstatSync(this.#at(path)), fs.lstatSync(this.#at(other), { throwIfNoEntry: false })];
    if (to === undefined || (!from.isDirectory() && !to.isDirectory())) {
      this.#lose(other);
      fs.renameSync(this.#at(path), this.#at(other));
    }
  }

  #mode(path: string): void {
    const info = fs.lstatSync(this.#at(path));
    if (!info.isSymbolicLink()) {
      fs.chmodSync(this.#at(path), (info.isDirectory() ? 0o700 : 0o600) | this.#number(0o100));
    }
  }

  #link(path: string): void {
    fs.symlinkSync(`to-${this.#number(100)}`, this.#at(path));
  }
}

describe('two folders that are changed at random', () => {
  const run = async (seed: number, sides: readonly Side[], settles: boolean): Promise<void> => {
    const random = randomNumbers(seed);
    const numbers = (below: number) => Math.floor(random() * below);
    const folders = await open();
    const [written, destroyed] = [new Set<string>(), new Set<string>()];
    const actors = sides.map((side) => new Actor(folders, side, numbers, written, destroyed));
    for (let round = 0; round < 40; round++) {
      folders.pause();
      for (let count = numbers(4); count >= 0; count--) {
        actors[numbers(actors.length)]?.act();
      }
      folders.goOn();
      await (settles ? folders.idle() : sleep(numbers(3) === 0 ? 30 : numbers(8)));
    }
    await folders.idle();
    // Twice: what was kept beside is told by nobody here.
    await folders.all();
    folders.expectEqual();
    const there = new Set([...folders.tree('host').values()].map((line) => line.replace(/^file \d+ /, '')));
    const lost = [...written].filter((token) => !destroyed.has(token) && !there.has(token));
    expect(lost.map((token) => token.slice(0, 20))).toEqual([]);
    if (sides.length === 1) {
      expect(folders.news).toEqual([]);
    }
    const before = Object.fromEntries(folders.tree('host'));
    await folders.all();
    expect(Object.fromEntries(folders.tree('host'))).toEqual(before);
    expect(fs.readdirSync(join(folders.base, 'place'))).toEqual([]);
    await folders.end();
  };

  it(`become equal and lose nothing when both change at once (seed ${SEED})`, async () => {
    for (let i = 0; i < times(6); i++) {
      await run(SEED + i, ['host', 'guest'], false);
    }
  }, 120_000);

  it(`have no conflict when one of them changes (seed ${SEED})`, async () => {
    for (let i = 0; i < times(2); i++) {
      await run(SEED + i, ['host'], false);
      await run(SEED + i, ['guest'], false);
    }
  }, 120_000);
});
