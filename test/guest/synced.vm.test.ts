import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refusalReason } from '../../guest/protocol/refusal.ts';
import type { GuestClient, GuestEvent, GuestProcess, SyncedEvent } from '../../guest/types.ts';
import { chunks, machineConfig, processSpec, readAll } from './host-agent.ts';
import { openWorkshop, type TestMachine, type Workshop } from './test-machine.ts';

const FILES = 400;
const NEW_FILES = 2_000;
const PATIENT = { timeout: 60_000, interval: 20 };
const TAG = 'share0';
/** As large as the machine's disk. */
const DISK_MIB = 256;

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop?.close());

/** A machine with a synced folder, at /src. */
class Synced {
  readonly #name: string;
  readonly events: SyncedEvent[] = [];
  readonly watched: string[] = [];
  machine!: TestMachine;
  guest!: GuestClient;
  upper = '';
  /** The host's folder. */
  readonly folder: string;

  constructor(name: string) {
    this.#name = name;
    this.folder = join(workshop.folder, `src-${name}`);
    mkdirSync(this.folder);
  }

  path = (name: string) => join(this.folder, name);
  write = (name: string, content: string) => writeFileSync(this.path(name), content);
  read = (name: string) => readFileSync(this.path(name), 'utf8');

  async boot(more: { readOnly?: boolean } = {}): Promise<void> {
    this.upper ||= await workshop.makeDisk(`upper-${this.#name}`);
    this.machine = await workshop.boot({ name: this.#name, disks: { upper: this.upper }, shares: { [TAG]: this.folder } });
    this.guest = await this.machine.connect();
    this.events.length = 0;
    this.watched.length = 0;
    await this.guest.prepare(
      machineConfig({
        clock: Date.now(),
        mounts: [{ kind: 'share', tag: TAG, target: '/src', readOnly: more.readOnly ?? false, seed: false, synced: true }],
      }),
    );
  }

  async start(): Promise<void> {
    void this.listen();
    await this.guest.settle();
    await this.guest.startWorkload(processSpec(['box', 'pause'], { env: ['PATH=/bin'] }));
  }

  async listen(): Promise<void> {
    for await (const event of this.guest.events() as AsyncIterable<GuestEvent>) {
      if (event.type === 'synced') {
        this.events.push(event);
      } else if (event.type === 'share-watched') {
        this.watched.push(event.share);
      }
    }
  }

  run = (...args: string[]): Promise<GuestProcess> => this.guest.spawn(processSpec(['box', ...args], { env: ['PATH=/bin'] }));

  /** What a program in the machine prints. */
  async ask(...args: string[]): Promise<string> {
    const program = await this.run(...args);
    const { stdout, stderr } = await readAll(program);
    await program.exited;
    return (stdout + stderr).trimEnd();
  }

  /** What was edited on the host is told, as the supervisor does. */
  tell = (edits: { written?: string[]; appeared?: string[]; gone?: string[]; folders?: string[] }) =>
    this.guest.tellEdits({ share: TAG, written: [], appeared: [], gone: [], folders: [], ...edits });

  powerOff = () => this.guest.powerOff({ stopSignal: 9, graceMs: 0, flushMs: 60_000 });
}

const filesBelow = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true })).filter((each) => each.isFile()).map((each) => each.name);

describe('a synced folder of a machine', () => {
  let synced: Synced;
  beforeAll(async () => {
    synced = new Synced('both');
    mkdirSync(synced.path('a'));
    for (let i = 0; i < FILES; i++) {
      synced.write(`a/${i}`, `content ${i}`);
    }
    await synced.boot();
  });

  it('is filled before any workload sees it', async () => {
    await expect(synced.guest.startWorkload(processSpec(['box', 'pause']))).rejects.toMatchObject({
      code: 'GUEST_REFUSED',
      reason: 'outOfTurn',
    });
    await synced.start();
    expect(await synced.ask('cat', `/src/a/${FILES - 1}`)).toBe(`content ${FILES - 1}`);
    await expect.poll(() => synced.events.map(({ news }) => news), PATIENT).toContain('filled');
    expect(synced.events.at(-1)?.state).toEqual({ filled: true, files: FILES + 1, waiting: 0, conflicts: 0, left: 0 });
    // So that the supervisor tells of edits.
    expect(synced.watched).toEqual([TAG]);
  });

  it('brings a tree that is made in the machine to the host', async () => {
    expect(await synced.ask('many', '/src/modules', String(NEW_FILES))).toBe('');
    await synced.guest.settle();
    expect((await filesBelow(synced.path('modules'))).length).toBe(NEW_FILES);
    expect(synced.read(`modules/${(NEW_FILES - 100) / 100}/${NEW_FILES - 1}`)).toBe(`file ${NEW_FILES - 1}`);
  });

  it('brings what is edited on the host to programs that watch', async () => {
    const watcher = await synced.run('watch', '/src/a');
    let seen = '';
    const reading = (async () => {
      for await (const chunk of watcher.output) {
        seen += Buffer.from(chunk.data).toString();
      }
    })();
    await expect.poll(() => seen, PATIENT).toContain('ready');
    synced.write('a/new', 'of the host');
    synced.write('a/7', 'changed');
    rmSync(synced.path('a/8'));
    await synced.tell({ appeared: ['a/new'], written: ['a/7'], gone: ['a/8'] });
    await expect.poll(() => seen.split('\n').sort(), PATIENT).toEqual(expect.arrayContaining(['7', '8', 'new']));
    expect(await synced.ask('cat', '/src/a/new')).toBe('of the host');
    expect(await synced.ask('cat', '/src/a/7')).toBe('changed');
    await watcher.signal(9);
    await reading;
  });

  it('hears of what was edited before the host began to tell', async () => {
    synced.write('a/early', '1');
    // A new host's first word, which names nothing of it.
    await reconnected(synced);
    await synced.tell({});
    await synced.guest.settle();
    expect(await synced.ask('cat', '/src/a/early')).toBe('1');
  });

  it('keeps both when both sides changed a file, and says where', async () => {
    synced.write('a/1', 'the host');
    await synced.ask('put', '/src/a/1', 'the guest');
    await synced.guest.settle();
    expect(synced.read('a/1')).toBe('the host');
    expect(synced.read('a/1.hypr-conflict-1')).toBe('the guest');
    expect(await synced.ask('cat', '/src/a/1')).toBe('the host');
    await expect
      .poll(() => synced.events.find(({ news }) => news === 'conflict'), PATIENT)
      .toMatchObject({ path: 'a/1.hypr-conflict-1', state: { conflicts: 1 } });
  });

  it('brings what is copied into the machine', async () => {
    writeFileSync(join(workshop.folder, 'copied'), 'in');
    await synced.guest.writeTar('/src/a', chunks(execFileSync('tar', ['-C', workshop.folder, '-cf', '-', 'copied'])));
    await synced.guest.settle();
    expect(synced.read('a/copied')).toBe('in');
  });

  it('says what it leaves where it is', async () => {
    execFileSync('mkfifo', [synced.path('a/pipe')]);
    await synced.tell({ appeared: ['a/pipe'] });
    await expect.poll(() => synced.events.find(({ news }) => news === 'left'), PATIENT).toMatchObject({ path: 'a/pipe', reason: 'a pipe' });
  });

  it('shows nothing of its own, nor the share, in the machine', async () => {
    expect(await synced.ask('ls', '/kestrel')).toBe('');
    expect(await filesBelow(synced.folder)).not.toContainEqual(expect.stringContaining('.hypr-sync-'));
  });

  it('has all on the host when the machine has ended, and knows of it at the next start', async () => {
    await synced.ask('many', '/src/late', '300');
    await synced.powerOff();
    await synced.machine.exited;
    expect((await filesBelow(synced.path('late'))).length).toBe(300);
    synced.write('a/2', 'while it was off');
    rmSync(synced.path('a/3'));
    renameSync(synced.path('late'), synced.path('later'));
    await synced.boot();
    await synced.start();
    expect(await synced.ask('cat', '/src/a/2')).toBe('while it was off');
    expect(await synced.ask('stat', '/src/a/3')).toContain('No such file');
    expect(await synced.ask('cat', '/src/later/2/299')).toBe('file 299');
    expect(existsSync(synced.path('late'))).toBe(false);
    expect(synced.events.at(-1)?.state).toMatchObject({ filled: true, conflicts: 0 });
  });

  it('loses nothing of the host when the machine is killed', async () => {
    const before = new Map(
      readdirSync(synced.path('a'))
        .filter((name) => name !== 'pipe')
        .map((name) => [name, synced.read(`a/${name}`)]),
    );
    const writer = await synced.run('many', '/src/half', '2000');
    await expect.poll(() => existsSync(synced.path('half/1')), PATIENT).toBe(true);
    void writer.exited.catch(() => {});
    await synced.machine.kill();
    for (const [name, content] of before) {
      expect(synced.read(`a/${name}`)).toBe(content);
    }
    await synced.boot();
    await synced.start();
    for (const [name, content] of before) {
      expect(synced.read(`a/${name}`)).toBe(content);
    }
    expect(await synced.ask('cat', '/src/a/2')).toBe('while it was off');
    for (const name of await filesBelow(synced.path('half'))) {
      expect(name.startsWith('.hypr-sync-') || /^\d+(\.hypr-conflict-\d+)?$/.test(name)).toBe(true);
    }
    await synced.powerOff();
  });
});

/** Another host takes the machine over. */
const reconnected = async (synced: Synced): Promise<void> => {
  await synced.guest.close();
  synced.guest = await synced.machine.connect();
  void synced.listen();
};

describe('a synced folder for which the machine has no room', () => {
  it('starts nothing and says so, until it fits', async () => {
    const synced = new Synced('full');
    synced.write('small', 'fits');
    writeFileSync(synced.path('large'), Buffer.alloc(DISK_MIB << 20, 7));
    await synced.boot();
    void synced.listen();
    expect(refusalReason(await synced.guest.settle().catch((error: unknown) => error))).toBe('mount');
    await expect
      .poll(() => synced.events.find(({ news }) => news === 'full'), PATIENT)
      .toMatchObject({ path: 'large', reason: 'guest', state: { full: 'guest', filled: false } });
    expect(refusalReason(await synced.guest.startWorkload(processSpec(['box', 'pause'])).catch((error: unknown) => error))).toBe(
      'outOfTurn',
    );
    expect(readFileSync(synced.path('large')).length).toBe(DISK_MIB << 20);
    rmSync(synced.path('large'));
    await synced.tell({ gone: ['large'] });
    await expect.poll(() => synced.events.map(({ news }) => news), PATIENT).toContain('filled');
    await synced.start();
    expect(await synced.ask('cat', '/src/small')).toBe('fits');
    await synced.powerOff();
  });
});

describe('a synced folder that is read-only', () => {
  it('takes what the host edits, and lets no program write', async () => {
    const synced = new Synced('read-only');
    synced.write('x', '1');
    await synced.boot({ readOnly: true });
    await synced.start();
    expect(await synced.ask('put', '/src/x', '2')).toBe('Read-only file system');
    await synced.tell({});
    synced.write('x', '3');
    await synced.tell({ written: ['x'] });
    await synced.guest.settle();
    expect(await synced.ask('cat', '/src/x')).toBe('3');
    expect(await readFile(synced.path('x'), 'utf8')).toBe('3');
    await synced.powerOff();
  });
});

describe('a folder that two services of a machine have synced', () => {
  it('is the same for both, through the host', async () => {
    const folder = join(workshop.folder, 'shared');
    mkdirSync(folder);
    writeFileSync(join(folder, 'x'), 'host');
    const root = join(workshop.folder, 'member.erofs');
    await copyFile(workshop.root, root);
    const [upper, other] = await Promise.all(['pod', 'pod-member'].map((name) => workshop.makeDisk(name)));
    const machine = await workshop.boot({
      name: 'pod',
      disks: { upper: upper ?? '', mb1root: root, mb1upper: other ?? '' },
      shares: { share0: folder, mb1share0: folder },
    });
    const owner = await machine.connect();
    const mounts = (tag: string) => [{ kind: 'share', tag, target: '/src', readOnly: false, seed: false, synced: true } as const];
    await owner.prepare(machineConfig({ clock: Date.now(), mounts: mounts('share0') }));
    const member = await owner.openMember('mb1', { timeout: 60_000, sharesIpc: false, signal: AbortSignal.timeout(600_000) });
    await member.prepare(machineConfig({ root: { disk: 'mb1root', upper: 'mb1upper', readOnly: false }, mounts: mounts('mb1share0') }));
    const run = async (guest: GuestClient, ...args: string[]): Promise<string> => {
      const program = await guest.spawn(processSpec(['box', ...args], { env: ['PATH=/bin'] }));
      const { stdout, stderr } = await readAll(program);
      await program.exited;
      return (stdout + stderr).trimEnd();
    };
    for (const guest of [owner, member]) {
      await guest.settle();
      await guest.startWorkload(processSpec(['box', 'pause'], { env: ['PATH=/bin'] }));
    }
    expect(await run(member, 'put', '/src/x', 'member')).toBe('');
    await member.settle();
    expect(readFileSync(join(folder, 'x'), 'utf8')).toBe('member');
    const nothing = { written: [], appeared: [], gone: [], folders: [] };
    // The first word of a host has all looked at, the second one names the path.
    await owner.tellEdits({ share: 'share0', ...nothing });
    await owner.settle();
    expect(await run(owner, 'cat', '/src/x')).toBe('member');
    expect(await run(owner, 'put', '/src/y', 'owner')).toBe('');
    await owner.settle();
    await member.tellEdits({ share: 'mb1share0', ...nothing, appeared: ['y'] });
    await member.settle();
    expect(await run(member, 'cat', '/src/y')).toBe('owner');
    // What a service wrote last is on the host when it has ended, with or without the machine.
    await run(member, 'put', '/src/last', 'of the member');
    await member.powerOff({ stopSignal: 9, graceMs: 0, flushMs: 60_000 });
    expect(readFileSync(join(folder, 'last'), 'utf8')).toBe('of the member');
    await run(owner, 'put', '/src/end', 'of the machine');
    await owner.powerOff({ stopSignal: 9, graceMs: 0, flushMs: 60_000 });
    expect(readFileSync(join(folder, 'end'), 'utf8')).toBe('of the machine');
    expect(readdirSync(folder).sort()).toEqual(['end', 'last', 'x', 'y']);
  });
});
