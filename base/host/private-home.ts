import { chmodSync, closeSync, constants, lstatSync, openSync, readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { homePaths } from '../paths.ts';

const OTHERS = 0o077;

/**
 * Makes what hypr keeps beside its database private, whatever the umask and whichever hypr made it. The database is made here if
 * it is not there, because SQLite would make it, and by its mode its log, with the umask's. The home itself may be open: the user
 * may have had it so. What the user put there, and what a link leads to, stays as it is.
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
