import { chmodSync, closeSync, constants, lstatSync, openSync, readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { homePaths } from '../paths.ts';

const OTHERS = 0o077;

/**
 * Makes hypr's files and folders in its home private, regardless of the umask and of the version that created them. The database
 * is created here if it does not exist, because SQLite would create it, and its log, with the umask's mode. The mode of the home
 * itself is not changed: it is the user's choice. Other files in it and targets of links are not changed either.
 */
export const makePrivate = (database: string): void => {
  const home = dirname(database);
  const names = new Set(readdirSync(home));
  closeSync(openSync(database, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600));
  const { home: _, database: __, ...folders } = homePaths(home);
  for (const path of [database, `${database}-wal`, `${database}-shm`, ...Object.values(folders)]) {
    if (path === database || names.has(basename(path))) {
      closeToOthers(path);
    }
  }
};

const closeToOthers = (path: string): void => {
  const info = lstatSync(path, { throwIfNoEntry: false });
  if (info !== undefined && !info.isSymbolicLink() && (info.mode & OTHERS) !== 0 && info.uid === process.getuid?.()) {
    chmodSync(path, info.mode & 0o700);
  }
};
