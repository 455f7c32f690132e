import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { checkDatabase } from '../../../engine/state/check.ts';
import { repairDatabase } from '../../../engine/state/repair.ts';
import { openStateStore } from '../../../engine/state/store.ts';
import { randomNumbers, SEED, times } from '../../support/seed.ts';
import { projectOf } from '../support/project.ts';

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
});
