/** All tables, a referenced one before those that refer to it. */
export const TABLES = ['stacks', 'vms', 'networks', 'ip_leases', 'volumes', 'loopbacks', 'shared_networks'] as const;
export type Table = (typeof TABLES)[number];

/**
 * Migrations of hypr.db, in order; `PRAGMA user_version` counts the ones applied. Append only. Columns named *_json hold
 * one JSON document, read and written only by engine/state/rows.ts; `sum` is that of engine/state/checksum.ts.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE stacks (
    name TEXT PRIMARY KEY,
    working_dir TEXT NOT NULL,
    files_json TEXT NOT NULL,
    project_json TEXT NOT NULL,
    supervisor_json TEXT,
    created_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE vms (
    id TEXT PRIMARY KEY,
    stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
    service TEXT NOT NULL,
    number INTEGER NOT NULL,
    one_off INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    health TEXT NOT NULL,
    exit_code INTEGER NOT NULL,
    reason TEXT,
    restarts INTEGER NOT NULL,
    config_hash TEXT NOT NULL,
    image_id TEXT NOT NULL,
    spec_json TEXT NOT NULL,
    machine_json TEXT,
    published_json TEXT NOT NULL,
    stopped_by_user INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    boot_ms INTEGER
  ) STRICT;
  CREATE UNIQUE INDEX vms_by_name ON vms (stack, name);

  CREATE TABLE networks (
    stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    spec_json TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    record_json TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (stack, key)
  ) STRICT;

  CREATE TABLE ip_leases (
    stack TEXT NOT NULL,
    network TEXT NOT NULL,
    ip TEXT NOT NULL,
    vm_id TEXT NOT NULL REFERENCES vms(id) ON DELETE CASCADE,
    mac TEXT NOT NULL,
    leased_at INTEGER NOT NULL,
    PRIMARY KEY (stack, network, ip)
  ) STRICT;

  CREATE TABLE volumes (
    name TEXT PRIMARY KEY,
    stack TEXT NOT NULL,
    key TEXT NOT NULL,
    form TEXT NOT NULL,
    path TEXT NOT NULL,
    labels_json TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  `,
  'ALTER TABLE vms ADD COLUMN saved_json TEXT',
  'ALTER TABLE vms ADD COLUMN run INTEGER',
  `CREATE TABLE loopbacks (
    address TEXT PRIMARY KEY,
    stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
    owner TEXT NOT NULL
  ) STRICT`,
  `
  CREATE TABLE shared_networks (
    name TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    spec_json TEXT NOT NULL,
    options_json TEXT NOT NULL,
    record_json TEXT,
    created_at INTEGER NOT NULL
  ) STRICT;
  ALTER TABLE ip_leases ADD COLUMN ip6 TEXT;
  CREATE UNIQUE INDEX leases_by_ip6 ON ip_leases (stack, network, ip6);
  `,
  'ALTER TABLE vms ADD COLUMN env_json TEXT',
  ['stacks', 'vms', 'networks', 'ip_leases', 'volumes', 'loopbacks', 'shared_networks']
    .map(
      (table) => `
  ALTER TABLE ${table} ADD COLUMN sum INTEGER;
  CREATE TRIGGER ${table}_sum AFTER UPDATE ON ${table} WHEN NEW.sum IS NOT NULL AND NEW.sum IS OLD.sum
  BEGIN UPDATE ${table} SET sum = NULL WHERE rowid = NEW.rowid; END;`,
    )
    .join('\n'),
];
