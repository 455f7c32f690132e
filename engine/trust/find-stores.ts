import { readdir, readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { exists } from '../../base/host/files.ts';

/** A place where a browser keeps what it trusts. */
export interface CertificateStore {
  readonly browser: 'chromium' | 'firefox';
  readonly folder: string;
  /** False only for the store that Chromium and its kin share, which is made where there is none. */
  readonly exists: boolean;
}

/** Where Firefox and its kin keep profiles, below a home. */
const FIREFOX = [
  ...['.mozilla/firefox', '.config/mozilla/firefox', 'snap/firefox/common/.mozilla/firefox', '.librewolf', '.floorp', '.waterfox', '.zen'],
  ...['.var/app/org.mozilla.firefox/.mozilla/firefox', '.var/app/org.mozilla.firefox/config/mozilla/firefox'],
  '.var/app/io.gitlab.librewolf-community/.librewolf',
];

/** Every store of this user's browsers: packages, snaps and flatpaks. The first is the one that Chromium, Chrome, Edge and Brave share. */
export const findStores = async (home: string): Promise<CertificateStore[]> => {
  const shared = join(home, '.pki/nssdb');
  const chromium = [join(home, '.local/share/pki/nssdb'), ...(await snapStores(home)), ...(await flatpakStores(home))];
  const profiles = (await Promise.all(FIREFOX.map((folder) => firefoxProfiles(join(home, folder))))).flat();
  return [
    { browser: 'chromium', folder: shared, exists: await hasStore(shared) },
    ...(await onlyStores(chromium)).map((folder) => ({ browser: 'chromium', folder, exists: true }) as const),
    ...(await onlyStores(profiles)).map((folder) => ({ browser: 'firefox', folder, exists: true }) as const),
  ];
};

export const hasStore = (folder: string): Promise<boolean> => exists(join(folder, 'cert9.db'));

const onlyStores = async (folders: readonly string[]): Promise<string[]> => {
  const found = await Promise.all(folders.map(hasStore));
  return [...new Set(folders.filter((_, index) => found[index]))];
};

const snapStores = async (home: string): Promise<string[]> =>
  (await list(join(home, 'snap'))).map((name) => join(home, 'snap', name, 'current/.pki/nssdb'));

const flatpakStores = async (home: string): Promise<string[]> =>
  (await list(join(home, '.var/app'))).map((name) => join(home, '.var/app', name, '.pki/nssdb'));

/** Folders of profiles: those that profiles.ini names, which may be elsewhere, and those beside it. */
const firefoxProfiles = async (folder: string): Promise<string[]> => {
  const ini = await readFile(join(folder, 'profiles.ini'), 'utf8').catch(() => '');
  const named = [...ini.matchAll(/^Path=(.+)$/gm)].map(([, path = '']) => (isAbsolute(path) ? path.trim() : join(folder, path.trim())));
  return [...named, ...(await list(folder)).map((name) => join(folder, name))];
};

const list = (folder: string): Promise<string[]> =>
  readdir(folder).then(
    (names) => names.sort(),
    // The folder does not exist or cannot be read: no browser of this user has anything there.
    () => [],
  );
