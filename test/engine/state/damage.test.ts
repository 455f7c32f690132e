import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { withLock } from '../../../base/host/lock.ts';
import { processesWith } from '../../../base/host/open-files.ts';
import { identifyProcess } from '../../../base/host/process.ts';
import { resolveReplica } from '../../../engine/resolve/replica-spec.ts';
import { checkDatabase } from '../../../engine/state/check.ts';
import type { VmRow } from '../../../engine/state/records.ts';
import { repairDatabase } from '../../../engine/state/repair.ts';
import { MIGRATIONS } from '../../../engine/state/schema.ts';
import { openStateReader, openStateStore } from '../../../engine/state/store.ts';
import { randomNumbers, SEED, times } from '../../support/seed.ts';
import { projectOf, RUNTIME } from '../support/project.ts';

let dir = '';
let path = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-damage-'));
  path = join(dir, 'hypr.db');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const stack = (name: string) => ({
  name,
  workingDir: '/srv',
  files: ['/srv/compose.yaml'],
  project: projectOf({ db: { environment: { TEXT: 'x'.repeat(6000) } } }),
  supervisor: undefined,
  createdAt: 1,
});

const volume = (name: string) => ({
  name,
  stack: 'a',
  key: name,
  form: 'disk' as const,
  path: `/v/${name}`,
  labels: { k: 'v' },
  createdAt: 1,
});

const vmOf = (name: string): VmRow => ({
  id: 'f'.repeat(64),
  stack: name,
  service: 'db',
  number: 1,
  oneOff: false,
  name: `${name}-db-1`,
  state: 'created',
  health: 'none',
  exitCode: 0,
  reason: undefined,
  restarts: 0,
  configHash: 'c',
  imageId: 'i',
  spec: resolveReplica({ project: projectOf({ db: {} }), service: 'db', number: 1, image: { reference: 'db:1', config: RUNTIME } }),
  machine: undefined,
  saved: undefined,
  published: [],
  stoppedByUser: false,
  createdAt: 5,
  startedAt: undefined,
  finishedAt: undefined,
  bootMs: undefined,
  run: 1,
});

const fill = (): void => {
  const store = openStateStore(path);
  for (const name of ['a', 'b', 'c']) {
    store.putStack(stack(name));
    store.putVolume(volume(`${name}_data`));
  }
  store.close();
};

const readAll = (at: string) => {
  const store = openStateStore(at);
  try {
    return [store.stacks(), store.vms(), store.networks(), store.sharedNetworks(), store.volumes(), store.loopbacks()];
  } finally {
    store.close();
  }
};

/** Inverts some bits of one byte of a copy of the database, and says where the copy is. */
const damaged = (bytes: Buffer, at: number, bits: number): string => {
  const copy = join(dir, 'copy.db');
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ bits, at);
  for (const suffix of ['', '-wal', '-shm']) {
    rmSync(`${copy}${suffix}`, { force: true });
  }
  writeFileSync(copy, changed);
  return copy;
};

describe('a database whose file is being exchanged', () => {
  it('is opened by nobody else, and by all when that has ended or its process was killed', async () => {
    openStateStore(path).close();
    const child = spawn('sleep', ['60']);
    const { pid, startTime } = identifyProcess(child.pid ?? 0) ?? {};
    mkdirSync(join(dir, 'locks'));
    symlinkSync(`${pid} ${startTime} 00`, join(dir, 'locks', 'database.lock'));
    const busy = expect.objectContaining({ code: 'STACK_BUSY', message: expect.stringContaining(`(pid ${pid})`) });
    const openers = [openStateStore, openStateReader, checkDatabase];
    for (const open of openers) {
      expect(() => open(path)).toThrow(busy);
    }
    expect(await openHere(path)).toEqual([]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    openStateStore(path).close();
    expect(checkDatabase(path)).toEqual([]);
  });

  it('is opened by the process that exchanges it', async () => {
    const lock = { what: 'the test' };
    await withLock(join(dir, 'locks', 'database.lock'), lock, async () => openStateStore(path).close());
  });
});

/** Whether this process has it open. */
const openHere = async (file: string): Promise<number[]> => {
  const found: number[] = [];
  for await (const pid of processesWith((link) => link.startsWith(realpathSync(file)))) {
    found.push(pid);
  }
  return found;
};

describe('a damaged database', () => {
  it('is never read as something else, whichever byte it is, and is repaired to what can be read', () => {
    fill();
    const [before, bytes] = [readAll(path), readFileSync(path)];
    const random = randomNumbers(SEED);
    for (let run = 0; run < times(100); run += 1) {
      const at = Math.floor(random() * bytes.length);
      const bits = 1 + Math.floor(random() * 255);
      const copy = damaged(bytes, at, bits);
      const faults = checkDatabase(copy);
      let read: unknown;
      try {
        read = readAll(copy);
      } catch (error) {
        expect(error, `byte ${at} by ${bits}`).toBeInstanceOf(HyprError);
      }
      if (read !== undefined) {
        expect(read, `byte ${at} by ${bits}`).toEqual(before);
      } else {
        expect(faults, `byte ${at} by ${bits}`).not.toEqual([]);
      }
      repairDatabase(copy);
      expect(checkDatabase(copy), `byte ${at} by ${bits}`).toEqual([]);
      const after = readAll(copy).flat();
      for (const row of after) {
        expect(before.flat()).toContainEqual(row);
      }
      for (const name of readdirSync(dir).filter((each) => each.includes('.damaged-'))) {
        rmSync(join(dir, name));
      }
    }
  }, 180_000);

  it('loses only the row that has changed', () => {
    fill();
    const db = new Database(path);
    db.prepare("UPDATE volumes SET path = '/v/other', sum = sum + 4294967296 WHERE name = 'b_data'").run();
    db.close();
    expect(() => readAll(path)).toThrow(
      expect.objectContaining({ code: 'STATE_DAMAGED', hint: expect.stringContaining('hypr system check --repair') }),
    );
    expect(checkDatabase(path)).toEqual([`${path}: volumes: the volume b_data has another checksum`]);
    const { kept, lost } = repairDatabase(path);
    expect(lost).toEqual(['the volume b_data has another checksum']);
    expect(checkDatabase(path)).toEqual([]);
    expect(readAll(path)[4]).toEqual([volume('a_data'), volume('c_data')]);
    expect(checkDatabase(kept)).not.toEqual([]);
  });

  it('takes what an older hypr has written, which knows no checksums', () => {
    fill();
    const db = new Database(path);
    db.prepare("UPDATE volumes SET path = '/v/other' WHERE name = 'b_data'").run();
    db.close();
    expect(checkDatabase(path)).toEqual([]);
    expect(readAll(path)[4]).toContainEqual({ ...volume('b_data'), path: '/v/other' });
  });

  it('keeps what was committed to the log and not yet to the file', () => {
    fill();
    const other = join(dir, 'crashed.db');
    const store = openStateStore(path);
    store.putVolume(volume('d_data'));
    for (const suffix of ['', '-wal']) {
      copyFileSync(`${path}${suffix}`, `${other}${suffix}`);
    }
    store.close();
    expect(repairDatabase(other).lost).toEqual([]);
    expect(readAll(other)[4]).toContainEqual(volume('d_data'));
  });

  it('that is no database at all is replaced by an empty one, and kept', () => {
    writeFileSync(path, 'nothing that SQLite knows, and long enough for a header of a page: '.repeat(20));
    expect(() => readAll(path)).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }));
    const { kept, lost } = repairDatabase(path);
    expect([lost.length > 0, readFileSync(kept, 'utf8').startsWith('nothing'), readAll(path).flat()]).toEqual([true, true, []]);
  });

  it('keeps replicas whose stack has lost its own row', () => {
    fill();
    const store = openStateStore(path);
    store.putVm(vmOf('a'));
    store.close();
    const db = new Database(path);
    db.prepare("UPDATE stacks SET project_json = '{}', sum = sum + 4294967296 WHERE name = 'a'").run();
    db.close();
    expect(repairDatabase(path).lost).toEqual(['the stack a has another checksum']);
    expect(checkDatabase(path)).toEqual([]);
    const after = openStateStore(path);
    expect(after.vms()).toEqual([vmOf('a')]);
    expect(after.stack('a')).toMatchObject({ name: 'a', files: [], project: { services: {} } });
    after.close();
  });

  it('that a newer hypr wrote is refused, and left as it is', () => {
    fill();
    const db = new Database(path);
    db.exec(`ALTER TABLE volumes ADD COLUMN more TEXT; PRAGMA user_version = ${MIGRATIONS.length + 1}`);
    db.close();
    const bytes = readFileSync(path);
    expect(() => checkDatabase(path)).toThrow(expect.objectContaining({ code: 'STACK_STATE' }));
    expect(() => repairDatabase(path)).toThrow(expect.objectContaining({ code: 'STACK_STATE' }));
    expect([readFileSync(path).equals(bytes), readdirSync(dir).filter((name) => name !== 'ballast')]).toEqual([true, ['hypr.db']]);
  });

  it.each(MIGRATIONS.map((_, version) => version + 1))('of version %i is whole, and repaired with nothing lost', (version) => {
    const db = new Database(path);
    for (const migration of MIGRATIONS.slice(0, version)) {
      db.exec(migration);
    }
    db.pragma(`user_version = ${version}`);
    db.prepare(
      "INSERT INTO volumes (name, stack, key, form, path, labels_json, created_at) VALUES ('v', 's', 'v', 'disk', '/v', '{}', 1)",
    ).run();
    db.close();
    expect(checkDatabase(path)).toEqual([]);
    expect(repairDatabase(path).lost).toEqual([]);
    expect(readAll(path)[4]).toMatchObject([{ name: 'v', path: '/v' }]);
  });

  it('is none where a text had half a character', () => {
    const store = openStateStore(path);
    store.putVolume({ ...volume('x'), path: '/x\ud83d' });
    store.close();
    expect([checkDatabase(path), readAll(path)[4]]).toEqual([[], [{ ...volume('x'), path: '/x\ufffd' }]]);
  });
});
