import { isDeepStrictEqual } from 'node:util';
import Database from 'better-sqlite3';
import { newerDatabase } from './database.ts';
import { MIGRATIONS, TABLES, type Table } from './schema.ts';

export interface OwnSchema {
  /** Whether the tables are what the migrations up to its version make. */
  readonly isWhole: boolean;
  /** Those that a database of its version has. */
  readonly tables: readonly Table[];
}

/**
 * Compares the tables of a database, which may be damaged, with those that hypr makes. Throws STACK_STATE when a newer hypr wrote
 * it; one that has the newest tables we know and says that it is newer still has lost its number.
 */
export const compareSchema = (db: Database.Database, path: string): OwnSchema => {
  const version = db.pragma('user_version', { simple: true }) as number;
  const found = schemaOf(db);
  const model = makeModel(Math.min(Math.max(0, version), MIGRATIONS.length));
  try {
    const isSame = isDeepStrictEqual(found, schemaOf(model));
    if (version > MIGRATIONS.length && !isSame) {
      throw newerDatabase(path);
    }
    const names = new Set(model.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all());
    return { isWhole: isSame && version <= MIGRATIONS.length && version >= 0, tables: TABLES.filter((table) => names.has(table)) };
  } finally {
    model.close();
  }
};

const makeModel = (version: number): Database.Database => {
  const model = new Database(':memory:');
  for (const migration of MIGRATIONS.slice(0, version)) {
    model.exec(migration);
  }
  return model;
};

const schemaOf = (db: Database.Database): unknown[] =>
  db.prepare('SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name').all();
