import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { openStateReader, openStateStore } from '../../../engine/state/store.ts';

let dir = '';
let umask = 0;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-home-'));
  umask = process.umask();
});
afterEach(() => {
  process.umask(umask);
  rmSync(dir, { recursive: true, force: true });
});

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

describe('what others read of a home', () => {
  it.each([0o000, 0o022, 0o002])('is nothing, with umask %o', (mask) => {
    process.umask(mask);
    const home = join(dir, 'new', 'home');
    const store = openStateStore(join(home, 'hypr.db'));
    expect(modeOf(home)).toBe('700');
    // The ballast is there where the disk has much room.
    expect(
      readdirSync(home)
        .filter((name) => name !== 'ballast')
        .sort(),
    ).toEqual(['hypr.db', 'hypr.db-shm', 'hypr.db-wal']);
    for (const name of readdirSync(home)) {
      expect([name, modeOf(join(home, name))]).toEqual([name, '600']);
    }
    store.close();
  });

  it('is nothing either of what an older hypr left open in a home that is open', () => {
    process.umask(0);
    const home = join(dir, 'old');
    mkdirSync(home, { mode: 0o755 });
    openStateStore(join(home, 'hypr.db')).close();
    chmodSync(join(home, 'hypr.db'), 0o644);
    for (const name of ['logs', 'machines', 'images', 'volumes', 'locks']) {
      mkdirSync(join(home, name), { mode: 0o777 });
    }
    mkdirSync(join(dir, 'disk'), { mode: 0o755 });
    symlinkSync(join(dir, 'disk'), join(home, 'build'));
    writeFileSync(join(home, 'registries.json'), '{}', { mode: 0o644 });
    const reader = openStateReader(join(home, 'hypr.db'));
    expect(modeOf(home)).toBe('755');
    for (const name of ['logs', 'machines', 'images', 'volumes', 'locks']) {
      expect([name, modeOf(join(home, name))]).toEqual([name, '700']);
    }
    for (const name of ['hypr.db', 'hypr.db-wal', 'hypr.db-shm']) {
      expect([name, modeOf(join(home, name))]).toEqual([name, '600']);
    }
    // The user's own: a link to a disk, a settings file.
    expect([modeOf(join(dir, 'disk')), modeOf(join(home, 'registries.json'))]).toEqual(['755', '644']);
    reader.close();
  });

  it('is made by nobody who put a link in the place of the database', () => {
    const home = join(dir, 'linked');
    mkdirSync(home);
    symlinkSync(join(dir, 'elsewhere'), join(home, 'hypr.db'));
    expect(() => openStateStore(join(home, 'hypr.db'))).toThrow(HyprError);
    expect(existsSync(join(dir, 'elsewhere'))).toBe(false);
  });
});
