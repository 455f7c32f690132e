import { existsSync, linkSync, renameSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { stagingName } from '../../base/host/staging.ts';
import { faultOf, nameOf } from './check.ts';
import { withSum } from './checksum.ts';
import { openDatabase } from './database.ts';
import type { Sql } from './rows.ts';
import { TABLES, type Table } from './schema.ts';

export interface RepairedDatabase {
  /** Where the damaged file is now. */
  readonly kept: string;
  /** What could not be read any more, as far as that can be told. */
  readonly lost: readonly string[];
}

/**
 * Writes all rows that can be read and are as they were written into a new database, and puts that in the place of the old one, which stays
 * beside it. Nobody else may have it open. When this is killed, either the old one is in its place or the new one.
 */
export const repairDatabase = (path: string): RepairedDatabase => {
  const staging = `${path}.${stagingName('repair')}`;
  const lost: string[] = [];
  try {
    const target = openDatabase(staging);
    try {
      salvage(path, target, lost);
      // A database that is closed with nothing in its log leaves no log behind.
      target.pragma('wal_checkpoint(TRUNCATE)');
    } finally {
      target.close();
    }
    return { kept: exchange(path, staging), lost };
  } finally {
    for (const suffix of SUFFIXES) {
      rmSync(`${staging}${suffix}`, { force: true });
    }
  }
};

const SUFFIXES = ['', '-wal', '-shm'];

/** The log goes first: SQLite would apply one that it finds beside the new database. */
const exchange = (path: string, staging: string): string => {
  const kept = `${path}.damaged-${new Date().toISOString().replaceAll(':', '')}`;
  linkSync(path, kept);
  for (const suffix of ['-wal', '-shm']) {
    if (existsSync(`${path}${suffix}`)) {
      renameSync(`${path}${suffix}`, `${kept}${suffix}`);
    }
  }
  renameSync(staging, path);
  return kept;
};

const salvage = (path: string, target: Database.Database, lost: string[]): void => {
  let source: Database.Database;
  try {
    source = new Database(path, { fileMustExist: true });
    // With this, SQLite passes over entries of the schema that it does not understand.
    source.unsafeMode(true);
    source.pragma('writable_schema = ON');
  } catch {
    lost.push('all that it recorded');
    return;
  }
  try {
    for (const table of TABLES) {
      copyTable(source, target, table, lost);
    }
  } finally {
    source.close();
  }
};

const copyTable = (source: Database.Database, target: Database.Database, table: Table, lost: string[]): void => {
  const columns = (target.pragma(`table_info(${table})`) as Array<{ name: string }>).map(({ name }) => name);
  const { rows, isWhole } = readRows(source, table);
  if (!isWhole) {
    lost.push(`what could not be read of the table ${table}`);
  }
  for (const values of rows) {
    // By place: columns are only ever added at the end, and their names may be what is damaged.
    const row = Object.fromEntries(columns.map((name, at) => [name, values[at] ?? null]));
    const fault = faultOf(table, row) ?? insert(target, table, row);
    if (fault !== undefined) {
      lost.push(fault);
    }
  }
};

/** Adds a row; the reason when what it refers to is lost, or when it is there already. */
const insert = (target: Database.Database, table: Table, plain: Sql): string | undefined => {
  const row = withSum(plain);
  const names = Object.keys(row);
  try {
    target.prepare(`INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((name) => `@${name}`).join(', ')})`).run(row);
    return undefined;
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_CONSTRAINT')) {
      return nameOf(table, row);
    }
    throw error;
  }
};

type Values = readonly Sql[string][];

/** All rows that can be read: from the front to the first page that cannot, and from the end back to it. */
const readRows = (source: Database.Database, table: Table): { rows: Values[]; isWhole: boolean } => {
  const front = readUntilFault(source, `SELECT rowid, * FROM ${table} ORDER BY rowid`);
  const back = front.isWhole ? [] : readUntilFault(source, `SELECT rowid, * FROM ${table} ORDER BY rowid DESC`).rows;
  const seen = new Set(front.rows.map(([number]) => number));
  const rows = [...front.rows, ...back.filter(([number]) => !seen.has(number))];
  return { rows: rows.map(([, ...values]) => values), isWhole: front.isWhole };
};

const readUntilFault = (source: Database.Database, sql: string): { rows: Values[]; isWhole: boolean } => {
  const rows: Values[] = [];
  try {
    for (const row of source.prepare(sql).raw().iterate()) {
      rows.push(row as Values);
    }
    return { rows, isWhole: true };
  } catch {
    return { rows, isWhole: false };
  }
};
