import { existsSync, linkSync, renameSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { HyprError } from '../../base/errors.ts';
import { stagingName } from '../../base/host/staging.ts';
import type { Project } from '../../compose/model/model.ts';
import { faultOf, nameOf } from './check.ts';
import { withSum } from './checksum.ts';
import { databaseError, openDatabase } from './database.ts';
import { compareSchema } from './own-schema.ts';
import { type Sql, writeStack } from './rows.ts';
import { TABLES, type Table } from './schema.ts';

export interface RepairedDatabase {
  /** Where the damaged file is now. */
  readonly kept: string;
  /** What could not be read any more, as far as that can be told. */
  readonly lost: readonly string[];
}

/**
 * Writes all rows that can be read and are as they were written into a new database, and puts that in the place of the old one, which stays
 * beside it. Nobody else may have it open. When this is killed, either the old one is in its place or the new one; a log that
 * SQLite could not bring into the old one is beside the copy then. Throws STACK_STATE when a newer hypr wrote it.
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
  const source = new Database(path, { fileMustExist: true });
  try {
    for (const table of readable(source, path)) {
      copyTable(source, target, table, lost);
    }
  } catch (error) {
    const known = databaseError(error, path);
    if (!(known instanceof HyprError && known.code === 'STATE_DAMAGED')) {
      throw known;
    }
    lost.push('all that it recorded');
  } finally {
    source.close();
  }
};

/** The tables to look for: those of its version, or all where that cannot be told. */
const readable = (source: Database.Database, path: string): readonly Table[] => {
  const { isWhole, tables } = compareSchema(source, path);
  // With this, SQLite passes over entries of the schema that it does not understand.
  source.unsafeMode(true);
  source.pragma('writable_schema = ON');
  return isWhole ? tables : TABLES;
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

/** Adds a row; its name when what it refers to is lost, or when it is there already. */
const insert = (target: Database.Database, table: Table, row: Sql): string | undefined => {
  try {
    add(target, table, row);
    return undefined;
  } catch (error) {
    const code = error instanceof Database.SqliteError ? error.code : '';
    if (code === 'SQLITE_CONSTRAINT_FOREIGNKEY' && typeof row.stack === 'string' && table !== 'ip_leases') {
      add(target, 'stacks', standIn(row.stack));
      return insert(target, table, row);
    }
    if (code.startsWith('SQLITE_CONSTRAINT')) {
      return nameOf(table, row);
    }
    throw error;
  }
};

const add = (target: Database.Database, table: Table, plain: Sql): void => {
  const row = withSum(plain);
  const names = Object.keys(row);
  target.prepare(`INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((name) => `@${name}`).join(', ')})`).run(row);
};

/** A stack whose own row is lost keeps its replicas, and so their machines; its model is what the next `up` reads from its files. */
const standIn = (name: string): Sql => {
  const nothing = {
    services: {},
    disabledServices: {},
    networks: {},
    volumes: {},
    secrets: {},
    configs: {},
    extensions: {},
    environment: {},
  };
  const project: Project = { name, workingDir: '', files: [], ...nothing };
  return writeStack({ name, workingDir: '', files: [], project, supervisor: undefined, createdAt: Date.now() });
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
