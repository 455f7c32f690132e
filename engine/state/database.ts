import { mkdirSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { HyprError, messageOf } from '../../base/errors.ts';
import { dropBallast, keepBallast } from '../../base/host/ballast.ts';
import { diskError } from '../../base/host/files.ts';
import { refuseForeignHome } from '../../base/host/home.ts';
import { lockHolder } from '../../base/host/lock.ts';
import { makePrivate } from '../../base/host/private-home.ts';
import { logger } from '../../base/log.ts';
import { MIGRATIONS } from './schema.ts';

/** Opens the database file in WAL mode, creates it if needed, and migrates it. Throws STACK_BUSY, STACK_STATE, STATE_DAMAGED, HYPR_DISK_FULL, HYPR_PERMISSION. */
export const openDatabase = (path: string): Database.Database => {
  const db = withBallast(path, () => openWithoutBallast(path));
  keepBallast(dirname(path));
  return db;
};

/** Runs a change of the database; on a full disk once more, with what is kept for that. `work` must change nothing else. */
export const withBallast = <T>(path: string, work: () => T): T => {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof HyprError && error.code === 'HYPR_DISK_FULL' && dropBallast(dirname(path)))) {
      throw error;
    }
    log.warn('the disk is full: the space kept for that was given up', { path });
    return work();
  }
};

const log = logger('state');

/** As openDatabase, for one who only reads: on a full disk nothing is given up for it. */
export const openWithoutBallast = (path: string): Database.Database => {
  try {
    refuseForeignHome(dirname(path));
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    makePrivate(path);
    const db = new Database(path);
    refuseDuringRepair(db, path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = NORMAL');
    db.pragma('foreign_keys = ON');
    db.pragma('busy_timeout = 10000');
    return migrated(db, path);
  } catch (error) {
    const known = databaseError(error, path);
    throw known instanceof HyprError
      ? known
      : new HyprError('STACK_STATE', `${path} cannot be opened: ${messageOf(error)}`, { cause: error });
  }
};

/** Held while the damaged file of a database is exchanged for another. */
export const repairLock = (path: string): string => join(dirname(path), 'locks', 'database.lock');

/**
 * Closes a database that was just opened, and throws STACK_BUSY, while its file is exchanged: it may be the old one. Who exchanges takes the
 * lock before looking who has the file open, so one of the two always sees the other.
 */
export const refuseDuringRepair = (db: Database.Database, path: string): void => {
  const holder = lockHolder(repairLock(path));
  if (holder !== undefined) {
    db.close();
    throw new HyprError('STACK_BUSY', `${path} is being repaired by another hypr (pid ${holder.pid})`, {
      hint: 'try again when that has ended',
    });
  }
};

/** Migrates an open database to the current schema. Throws STACK_STATE if a newer hypr wrote it. */
export const migrated = (db: Database.Database, path: string): Database.Database => {
  migrate(db, path);
  return db;
};

/** Maps SQLite's errors to ours. SQLite reports a full disk, but has no error of its own for a disk too full for the log's index. */
export const databaseError = (error: unknown, path: string): unknown => {
  const code = error instanceof Database.SqliteError ? error.code : '';
  if (DAMAGE.test(code)) {
    return damagedDatabase(path, messageOf(error), error);
  }
  const isFull = code === 'SQLITE_FULL' || (code.startsWith('SQLITE_IOERR') && hasNoRoom(dirname(path)));
  return diskError(isFull ? Object.assign(new Error(messageOf(error), { cause: error }), { code: 'ENOSPC' }) : error, path);
};

/**
 * What SQLite says of a file that is not as it was written (sqlite.org/rescode.html). SQLITE_ERROR is said of a table or column
 * that is missing: all our statements fit the schema.
 */
const DAMAGE = /^SQLITE_(?:CORRUPT|NOTADB|ERROR|FORMAT|MISMATCH|IOERR_SHORT_READ|IOERR_CORRUPTFS|IOERR_DATA|CONSTRAINT_DATATYPE)/;

export const damagedDatabase = (path: string, why: string, cause?: unknown): HyprError =>
  new HyprError('STATE_DAMAGED', `${path} is damaged: ${why}`, {
    hint: 'see what can be saved, and save it: hypr system check --repair',
    cause,
  });

export const newerDatabase = (path: string): HyprError =>
  new HyprError('STACK_STATE', `${path} was written by a newer hypr`, { hint: 'update hypr, or point HYPR_HOME elsewhere' });

const hasNoRoom = (folder: string): boolean => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize < LOG_INDEX;
};

const LOG_INDEX = 32 * 1024;

const migrate = (db: Database.Database, path: string): void => {
  const run = db.transaction(() => {
    const version = db.pragma('user_version', { simple: true }) as number;
    if (version > MIGRATIONS.length) {
      throw newerDatabase(path);
    }
    for (const migration of MIGRATIONS.slice(version)) {
      db.exec(migration);
    }
    if (version < MIGRATIONS.length) {
      db.pragma(`user_version = ${MIGRATIONS.length}`);
    }
  });
  run.immediate();
};
