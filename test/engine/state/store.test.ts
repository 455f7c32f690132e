import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { resolveReplica } from '../../../engine/resolve/replica-spec.ts';
import type { VmRow } from '../../../engine/state/records.ts';
import { openStateReader, openStateStore } from '../../../engine/state/store.ts';
import { projectOf, RUNTIME } from '../support/project.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-store-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const project = projectOf({ db: {} });
const stackRow = {
  name: 'shop',
  workingDir: '/srv',
  files: ['/srv/compose.yaml'],
  project,
  supervisor: { pid: 7, startTime: '99' },
  createdAt: 1,
};
const vmRow: VmRow = {
  id: 'a'.repeat(64),
  stack: 'shop',
  service: 'db',
  number: 1,
  oneOff: false,
  name: 'shop-db-1',
  state: 'created',
  health: 'none',
  exitCode: 0,
  reason: undefined,
  restarts: 0,
  configHash: 'c',
  imageId: 'i',
  spec: resolveReplica({ project, service: 'db', number: 1, image: { reference: 'db:1', config: RUNTIME } }),
  machine: undefined,
  saved: undefined,
  published: [],
  stoppedByUser: false,
  createdAt: 5,
  startedAt: undefined,
  finishedAt: undefined,
  bootMs: undefined,
  run: 1_732_812_345_678,
};

test('rows come back as they were put, from another connection', () => {
  const store = openStateStore(join(dir, 'hypr.db'));
  store.putStack(stackRow);
  store.putVm(vmRow);
  store.putVm({ ...vmRow, state: 'running', startedAt: 9, reason: 'why' });
  const other = openStateStore(join(dir, 'hypr.db'));
  expect(other.stack('shop')).toEqual(stackRow);
  expect(other.vms('shop')).toEqual([{ ...vmRow, state: 'running', startedAt: 9, reason: 'why' }]);
  other.close();
  store.close();
});

test('removing a stack removes its replicas and leases, and keeps volumes', () => {
  const store = openStateStore(join(dir, 'hypr.db'));
  store.putStack(stackRow);
  store.putVm(vmRow);
  store.putLease({ stack: 'shop', network: 'default', ip: '192.168.127.3', vmId: vmRow.id, mac: '02:00:00:00:00:01', leasedAt: 1 });
  store.putVolume({ name: 'shop_data', stack: 'shop', key: 'data', form: 'disk', path: '/x', labels: {}, createdAt: 1 });
  store.removeStack('shop');
  expect([store.vms(), store.leases('shop'), store.volumes().length]).toEqual([[], [], 1]);
  store.close();
});

test('an address is leased once', () => {
  const store = openStateStore(join(dir, 'hypr.db'));
  store.putStack(stackRow);
  store.putVm(vmRow);
  store.putVm({ ...vmRow, id: 'b'.repeat(64), name: 'shop-db-2', number: 2 });
  expect(() => store.putVm({ ...vmRow, id: 'c'.repeat(64) })).toThrow(/UNIQUE/);
  store.close();
});

test('a database of a newer hypr is refused, and left alone', () => {
  const path = join(dir, 'hypr.db');
  openStateStore(path).close();
  const db = new Database(path);
  db.pragma('user_version = 99');
  db.close();
  expect(() => openStateStore(path)).toThrow('was written by a newer hypr');
});

test('a file that is no database is named', () => {
  const path = join(dir, 'sub', 'hypr.db');
  openStateStore(path).close();
  expect(statSync(join(dir, 'sub')).mode & 0o077).toBe(0);
});

test('who only asks makes no database, and sees what is there', () => {
  const path = join(dir, 'hypr.db');
  const none = openStateReader(path);
  expect([none.vms(), none.stacks(), existsSync(path)]).toEqual([[], [], false]);
  none.close();
  const store = openStateStore(path);
  store.putStack(stackRow);
  store.putVm(vmRow);
  const reader = openStateReader(path);
  expect([reader.stack('shop'), reader.vms()]).toEqual([stackRow, [vmRow]]);
  reader.close();
  store.close();
});

test('a model is parsed again only when somebody has written another one', () => {
  const path = join(dir, 'hypr.db');
  const [store, other] = [openStateStore(path), openStateStore(path)];
  store.putStack(stackRow);
  const project = store.stack('shop')?.project;
  store.putStack({ ...stackRow, createdAt: 7 });
  expect(store.stacks()[0]?.project).toBe(project);
  other.putStack({ ...stackRow, project: { ...stackRow.project, name: 'other' } });
  expect(store.stack('shop')?.project.name).toBe('other');
  other.close();
  store.close();
});

test('what could not be synced is not said to be safe the next time either, and a store that cannot be synced closes', async () => {
  const path = join(dir, 'hypr.db');
  const store = openStateStore(path);
  store.putStack(stackRow);
  // A device without a sync: it fails like a disk with an error.
  rmSync(`${path}-wal`);
  symlinkSync('/dev/null', `${path}-wal`);
  await expect(store.settle()).rejects.toThrow('EINVAL');
  // Nobody is told that it is safe while another waits to know.
  expect((await Promise.allSettled([store.settle(), store.settle(), store.settle()])).map(({ status }) => status)).toEqual([
    'rejected',
    'rejected',
    'rejected',
  ]);
  const before = openFiles();
  expect(() => store.close()).toThrow('EINVAL');
  expect(() => store.stacks()).toThrow('not open');
  const after = openFiles();
  expect(after.filter((path) => path.startsWith(dir))).toEqual([]);
  expect(after.filter(isNull).length).toBe(before.filter(isNull).length);
});

const isNull = (path: string): boolean => path === '/dev/null';

const openFiles = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      // The folder that was read.
      return [];
    }
  });
