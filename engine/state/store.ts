import { closeSync, existsSync, fdatasyncSync, openSync, readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { HyprError, messageOf } from '../../base/errors.ts';
import { syncFolder } from '../../base/host/files.ts';
import { refuseForeignHome } from '../../base/host/home.ts';
import { isIntact, withSum } from './checksum.ts';
import { damagedDatabase, databaseError, migrated, openDatabase, openWithoutBallast, withBallast } from './database.ts';
import type { LeaseRow, LoopbackRow, NetworkRow, SharedNetworkRow, StackRow, VmRow, VolumeRow } from './records.ts';
import {
  readLease,
  readLoopback,
  readNetwork,
  readSharedNetwork,
  readVm,
  readVolume,
  type Sql,
  stackReader,
  writeLease,
  writeNetwork,
  writeSharedNetwork,
  writeStack,
  writeVm,
  writeVolume,
} from './rows.ts';

/**
 * The state of all stacks of one HYPR_HOME: SQLite in WAL mode, so that commands can read while supervisors write. Rows
 * are whole records; no other file contains SQL.
 */
export interface StateStore {
  stack(name: string): StackRow | undefined;
  stacks(): StackRow[];
  putStack(row: StackRow): void;
  removeStack(name: string): void;
  vms(stack?: string): VmRow[];
  putVm(row: VmRow): void;
  removeVm(id: string): void;
  networks(stack?: string): NetworkRow[];
  putNetwork(row: NetworkRow): void;
  removeNetwork(stack: string, key: string): void;
  sharedNetworks(): SharedNetworkRow[];
  putSharedNetwork(row: SharedNetworkRow): void;
  removeSharedNetwork(name: string): void;
  /** Without a network: those of all replicas of the stack, on shared networks too. */
  leases(stack: string, network?: string): LeaseRow[];
  putLease(row: LeaseRow): void;
  releaseLeases(vmId: string): void;
  removeLease(vmId: string, network: string): void;
  /** All of a network. */
  removeLeases(stack: string, network: string): void;
  volumes(): VolumeRow[];
  putVolume(row: VolumeRow): void;
  removeVolume(name: string): void;
  /** Loopback addresses of services and replicas, of all stacks. */
  loopbacks(): LoopbackRow[];
  putLoopback(row: LoopbackRow): void;
  /** Runs `work` in one transaction; writers in other processes wait for it. */
  transaction<T>(work: () => T): T;
  /** Resolves when all that was written so far outlives a power cut. Commits alone do not: they are not synced one by one. */
  settle(): Promise<void>;
  /** Settles as well. */
  close(): void;
}

/** Opens and migrates the database. Throws STACK_STATE when it was written by a newer hypr, and so does every read STATE_DAMAGED. */
export const openStateStore = (path: string): StateStore => {
  return makeStore(openDatabase(path));
};

export type StateReader = Pick<StateStore, 'stack' | 'stacks' | 'vms' | 'networks' | 'sharedNetworks' | 'leases' | 'volumes' | 'close'>;

/**
 * Opens the state read-only; without a database it is empty. SQLite creates a file before it reads, which fails on a
 * full disk, just when the user wants to remove something. In that case the database is read from a copy in memory.
 */
export const openStateReader = (path: string): StateReader => {
  refuseForeignHome(dirname(path));
  if (!existsSync(path)) {
    return makeStore(migrated(new Database(':memory:'), path));
  }
  try {
    return makeStore(openWithoutBallast(path));
  } catch (error) {
    if (!(error instanceof HyprError && error.code === 'HYPR_DISK_FULL')) {
      throw error;
    }
    // With a write-ahead log, the database file alone is not the whole state.
    if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) {
      return openStateStore(path);
    }
    const copy = readFileSync(path);
    // A database in memory has no WAL: mark it as a rollback-journal file (SQLite file format 1.3.3, bytes 18 and 19).
    copy.fill(1, 18, 20);
    return makeStore(migrated(new Database(copy), path));
  }
};

const makeStore = (db: Database.Database): StateStore => {
  const change = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw databaseError(error, db.name);
    }
  };
  const all = <T>(sql: string, map: (row: Sql) => T, ...values: Array<string | number>): T[] =>
    change(() => (db.prepare(sql).all(...values) as Sql[]).map((row) => readRow(row, map, db.name)));
  // A full disk ends a transaction as a whole, which then begins again as a whole.
  const retried = <T>(work: () => T): T => (db.inTransaction ? change(work) : withBallast(db.name, () => change(work)));
  let isUnsettled = false;
  const run = (sql: string, values: Sql): void => {
    isUnsettled = true;
    retried(() => db.prepare(sql).run(values));
  };
  // Absent: the last connection that was closed has written all of it into the database, and synced that.
  const log = (): string | undefined => (isUnsettled && existsSync(`${db.name}-wal`) ? `${db.name}-wal` : undefined);
  const settleNow = async (): Promise<void> => {
    const path = log();
    isUnsettled = false;
    try {
      if (path !== undefined) {
        await syncLog(path);
      }
    } catch (error) {
      isUnsettled = true;
      throw error;
    }
  };
  let settling: Promise<void> | undefined;
  /** Inserts or updates by primary key; columns are the keys of the row. */
  const upsert = (table: string, keys: readonly string[], plain: Sql): void => {
    const row = withSum(plain);
    const columns = Object.keys(row);
    const updates = columns.filter((column) => !keys.includes(column)).map((column) => `${column} = excluded.${column}`);
    const places = columns.map((column) => `@${column}`);
    run(
      `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places.join(', ')}) ON CONFLICT (${keys.join(', ')}) DO UPDATE SET ${updates.join(', ')}`,
      row,
    );
  };
  const readStack = stackReader();
  return {
    stack: (name) => all('SELECT * FROM stacks WHERE name = ?', readStack, name)[0],
    stacks: () => all('SELECT * FROM stacks ORDER BY name', readStack),
    putStack: (row) => upsert('stacks', ['name'], writeStack(row)),
    removeStack: (name) => run('DELETE FROM stacks WHERE name = @name', { name }),
    vms: (stack) =>
      stack === undefined
        ? all('SELECT * FROM vms ORDER BY stack, service, one_off, number', readVm)
        : all('SELECT * FROM vms WHERE stack = ? ORDER BY service, one_off, number', readVm, stack),
    putVm: (row) => upsert('vms', ['id'], writeVm(row)),
    removeVm: (id) => run('DELETE FROM vms WHERE id = @id', { id }),
    networks: (stack) =>
      stack === undefined
        ? all('SELECT * FROM networks ORDER BY stack, key', readNetwork)
        : all('SELECT * FROM networks WHERE stack = ? ORDER BY key', readNetwork, stack),
    putNetwork: (row) => upsert('networks', ['stack', 'key'], writeNetwork(row)),
    removeNetwork: (stack, key) => run('DELETE FROM networks WHERE stack = @stack AND key = @key', { stack, key }),
    sharedNetworks: () => all('SELECT * FROM shared_networks ORDER BY name', readSharedNetwork),
    putSharedNetwork: (row) => upsert('shared_networks', ['name'], writeSharedNetwork(row)),
    removeSharedNetwork: (name) => run('DELETE FROM shared_networks WHERE name = @name', { name }),
    leases: (stack, network) =>
      network === undefined
        ? all('SELECT * FROM ip_leases WHERE vm_id IN (SELECT id FROM vms WHERE stack = ?)', readLease, stack)
        : all('SELECT * FROM ip_leases WHERE stack = ? AND network = ?', readLease, stack, network),
    putLease: (row) => upsert('ip_leases', ['stack', 'network', 'ip'], writeLease(row)),
    removeLease: (vmId, network) => run('DELETE FROM ip_leases WHERE vm_id = @vmId AND network = @network', { vmId, network }),
    removeLeases: (stack, network) => run('DELETE FROM ip_leases WHERE stack = @stack AND network = @network', { stack, network }),
    releaseLeases: (vmId) => run('DELETE FROM ip_leases WHERE vm_id = @vmId', { vmId }),
    volumes: () => all('SELECT * FROM volumes ORDER BY name', readVolume),
    putVolume: (row) => upsert('volumes', ['name'], writeVolume(row)),
    removeVolume: (name) => run('DELETE FROM volumes WHERE name = @name', { name }),
    loopbacks: () => all('SELECT * FROM loopbacks', readLoopback),
    putLoopback: (row) => upsert('loopbacks', ['address'], { ...row }),
    transaction: (work) => retried(() => db.transaction(work).immediate()),
    settle: async () => {
      // One that is under way may have begun before what this caller has written, and it may fail.
      await settling?.catch(() => {});
      settling ??= settleNow().finally(() => {
        settling = undefined;
      });
      await settling;
    },
    close: () => {
      const path = log();
      try {
        if (path !== undefined) {
          syncLogNow(path);
        }
      } finally {
        db.close();
      }
    },
  };
};

const syncLog = async (path: string): Promise<void> => {
  await using file = await open(path, 'r');
  await file.datasync();
  await syncFolder(dirname(path));
};

const syncLogNow = (path: string): void => {
  const file = openSync(path, 'r');
  try {
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
};

/** Throws STATE_DAMAGED for a row that is not as it was written. */
const readRow = <T>(row: Sql, map: (row: Sql) => T, path: string): T => {
  if (!isIntact(row)) {
    throw damagedDatabase(path, 'a row has another checksum');
  }
  try {
    return map(row);
  } catch (error) {
    throw error instanceof SyntaxError ? damagedDatabase(path, messageOf(error), error) : error;
  }
};
