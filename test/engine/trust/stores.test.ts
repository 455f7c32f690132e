import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findStores } from '../../../engine/trust/find-stores.ts';
import { JournalFile } from '../../../engine/trust/journal.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hypr-trust-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const put = async (path: string, text = ''): Promise<void> => {
  await mkdir(join(home, dirname(path)), { recursive: true });
  await writeFile(join(home, path), text);
};

/** Every path with the digest of what it holds. */
const listing = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const digest = entry.isFile()
      ? createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
      : '';
    return `${relative(folder, path)} ${digest}`;
  });
  return (await Promise.all(lines)).sort();
};

describe('findStores', () => {
  it('finds packages, snaps and flatpaks, and profiles that are elsewhere', async () => {
    await put(
      '.mozilla/firefox/profiles.ini',
      `[Profile0]\nPath=a.default\nIsRelative=1\n[Profile1]\nPath=${home}/elsewhere\nIsRelative=0\n`,
    );
    for (const folder of ['.mozilla/firefox/a.default', 'elsewhere', '.mozilla/firefox/b.work', 'snap/firefox/common/.mozilla/firefox/c']) {
      await put(`${folder}/cert9.db`);
    }
    await put('.var/app/org.mozilla.firefox/.mozilla/firefox/d/cert9.db');
    await put('snap/chromium/current/.pki/nssdb/cert9.db');
    await put('.var/app/com.google.Chrome/.pki/nssdb/cert9.db');
    await put('.mozilla/firefox/never-started/times.json');
    const stores = await findStores(home);
    expect(stores.map(({ browser, folder, exists }) => `${browser} ${relative(home, folder)} ${exists}`)).toEqual([
      'chromium .pki/nssdb false',
      'chromium snap/chromium/current/.pki/nssdb true',
      'chromium .var/app/com.google.Chrome/.pki/nssdb true',
      'firefox .mozilla/firefox/a.default true',
      'firefox elsewhere true',
      'firefox .mozilla/firefox/b.work true',
      'firefox snap/firefox/common/.mozilla/firefox/c true',
      'firefox .var/app/org.mozilla.firefox/.mozilla/firefox/d true',
    ]);
  });

  it('has the shared store alone where no browser ever ran', async () => {
    expect(await findStores(home)).toEqual([{ browser: 'chromium', folder: join(home, '.pki/nssdb'), exists: false }]);
  });
});

describe('JournalFile', () => {
  const store = () => join(home, 'user/profile');
  const folder = () => join(home, 'journal');
  const names = ['cert9.db', 'key4.db'];
  const change = async () => {
    await put('user/profile/cert9.db', 'changed');
    await put('user/profile/key4.db', 'made');
  };

  it('gives back what was there, byte for byte, and removes what was not', async () => {
    await put('user/profile/cert9.db', 'original');
    const before = await listing(join(home, 'user'));
    const journal = await JournalFile.open(folder());
    await journal.record(store(), 'ca', names, change);
    const later = await JournalFile.open(folder());
    const [entry] = later.journal.stores;
    expect(entry && (await later.restore(entry))).toBe(true);
    expect(await listing(join(home, 'user'))).toEqual(before);
    await later.remove();
    expect(await readdir(home)).toEqual(['user']);
  });

  it('removes folders that were made, as far as nobody else uses them', async () => {
    const journal = await JournalFile.open(folder());
    await journal.record(store(), 'ca', names, change);
    await put('user/other.txt');
    const [entry] = journal.journal.stores;
    expect(entry && (await journal.restore(entry))).toBe(true);
    expect(await listing(join(home, 'user'))).toEqual([expect.stringContaining('other.txt ')]);
  });

  it.each([
    ['a browser has written since', () => put('user/profile/cert9.db', 'newer')],
    [
      'the copies are gone',
      async () => Promise.all((await readdir(folder())).filter((name) => name !== 'journal.json').map((name) => rm(join(folder(), name)))),
    ],
  ])('touches nothing when %s', async (_why, meanwhile) => {
    await put('user/profile/cert9.db', 'original');
    const journal = await JournalFile.open(folder());
    await journal.record(store(), 'ca', names, change);
    await meanwhile();
    const between = await listing(join(home, 'user'));
    const [entry] = journal.journal.stores;
    expect(entry && (await journal.restore(entry))).toBe(false);
    expect(await listing(join(home, 'user'))).toEqual(between);
  });

  it('goes by name once somebody else changed the store between two changes, and by copy where nobody did', async () => {
    await put('user/profile/cert9.db', 'original');
    const journal = await JournalFile.open(folder());
    await journal.record(store(), 'ca 1', names, change);
    await journal.record(store(), 'ca 2', names, () => put('user/profile/cert9.db', 'renewed'));
    expect(journal.journal.stores[0]?.after?.['cert9.db']).toBe(createHash('sha256').update('renewed').digest('hex'));
    await put('user/profile/cert9.db', 'with an import of the user');
    await journal.record(store(), 'ca 3', names, () => put('user/profile/cert9.db', 'with an import of the user, renewed'));
    const [entry] = journal.journal.stores;
    expect(entry && (await journal.restore(entry))).toBe(false);
    expect(entry?.nickname).toBe('ca 3');
  });

  it('knows of a change that was interrupted, and takes a damaged journal for none', async () => {
    const journal = await JournalFile.open(folder());
    await expect(journal.record(store(), 'ca', names, () => Promise.reject(new Error('killed')))).rejects.toThrow('killed');
    const [entry] = (await JournalFile.open(folder())).journal.stores;
    expect(entry?.after).toBeUndefined();
    expect(entry && (await journal.restore(entry))).toBe(false);
    await writeFile(join(folder(), 'journal.json'), '{"stores": [');
    expect((await JournalFile.open(folder())).journal.stores).toEqual([]);
  });
});
