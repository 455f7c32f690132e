import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { HyprError, messageOf } from '../../base/errors.ts';
import { isIntact } from './checksum.ts';
import { databaseError, refuseDuringRepair } from './database.ts';
import { compareSchema } from './own-schema.ts';
import type { Sql } from './rows.ts';
import type { Table } from './schema.ts';

/**
 * Everything that is wrong with the database of a home, one line each: what SQLite finds in its pages and indexes, rows
 * that refer to none, and rows whose content is not as it was written. Changes no row. A missing file is whole.
 * Throws STACK_STATE when a newer hypr wrote it, STACK_BUSY while another process repairs it.
 */
export const checkDatabase = (path: string): string[] => {
  if (!existsSync(path)) {
    return [];
  }
  const faults: string[] = [];
  const check = (what: string, work: () => readonly string[]): void => {
    try {
      faults.push(...work().map((fault) => `${path}: ${what}${fault}`));
    } catch (error) {
      faults.push(`${path}: ${what}${messageOf(error)}`);
    }
  };
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { fileMustExist: true });
    refuseDuringRepair(db, path);
    const open = db;
    const { isWhole, tables } = compareSchema(open, path);
    check('', () => (isWhole ? [] : ['its tables are not those that hypr made']));
    check('', () =>
      open
        .prepare('PRAGMA integrity_check')
        .pluck()
        .all()
        .map(String)
        .filter((line) => line !== 'ok'),
    );
    check('', () =>
      (open.pragma('foreign_key_check') as ForeignKey[]).map(({ table, parent }) => `a row of ${table} has none in ${parent}`),
    );
    for (const table of tables) {
      check(`${table}: `, () => (open.prepare(`SELECT * FROM ${table}`).all() as Sql[]).flatMap((row) => faultOf(table, row) ?? []));
    }
  } catch (error) {
    const known = databaseError(error, path);
    if (known instanceof HyprError && known.code !== 'STATE_DAMAGED') {
      throw known;
    }
    faults.push(`${path}: ${messageOf(error)}`);
  } finally {
    db?.close();
  }
  return faults;
};

interface ForeignKey {
  readonly table: string;
  readonly parent: string;
}

/** Why a row cannot be used; undefined for one that can. */
export const faultOf = (table: Table, row: Sql): string | undefined => {
  if (!isIntact(row)) {
    return `${nameOf(table, row)} has another checksum`;
  }
  const broken = Object.keys(row).find((column) => column.endsWith('_json') && row[column] !== null && !isJson(row[column]));
  return broken === undefined ? undefined : `${nameOf(table, row)} has a document in ${broken} that is no JSON`;
};

const isJson = (value: string | number | null | undefined): boolean => {
  try {
    JSON.parse(String(value));
    return true;
  } catch {
    return false;
  }
};

/** What a row is about, in the words of the user. */
export const nameOf = (table: Table, row: Sql): string => NAMES[table](row);

const NAMES: Readonly<Record<Table, (row: Sql) => string>> = {
  stacks: (row) => `the stack ${row.name}`,
  vms: (row) => `the replica ${row.name} of the stack ${row.stack}`,
  networks: (row) => `the network ${row.name} of the stack ${row.stack}`,
  ip_leases: (row) => `the lease of ${row.ip}`,
  volumes: (row) => `the volume ${row.name}`,
  loopbacks: (row) => `the address ${row.address} of ${row.owner}`,
  shared_networks: (row) => `the network ${row.name}`,
};
