import type { LeaseRow, LoopbackRow, NetworkRow, SharedNetworkRow, StackRow, VmRow, VolumeRow } from './records.ts';

/** A row as SQLite has it. */
export type Sql = Record<string, string | number | null>;

const text = (value: string | number | null | undefined): string => String(value ?? '');
const optional = (value: string | number | null | undefined): number | undefined => (typeof value === 'number' ? value : undefined);
const json = <T>(value: string | number | null | undefined): T => JSON.parse(text(value)) as T;
const optionalJson = <T>(value: string | number | null | undefined): T | undefined =>
  typeof value === 'string' ? (JSON.parse(value) as T) : undefined;
const toJson = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));

/** Models are large and asked for at every turn: each is parsed again only when its text has changed. */
export const stackReader = (): ((row: Sql) => StackRow) => {
  const parsed = new Map<string, { readonly text: string; readonly project: StackRow['project'] }>();
  const projectOf = (name: string, source: string): StackRow['project'] => {
    const known = parsed.get(name);
    const { project } = known?.text === source ? known : { project: json<StackRow['project']>(source) };
    parsed.set(name, { text: source, project });
    return project;
  };
  return (row) => ({
    name: text(row.name),
    workingDir: text(row.working_dir),
    files: json(row.files_json),
    project: projectOf(text(row.name), text(row.project_json)),
    supervisor: optionalJson(row.supervisor_json),
    createdAt: Number(row.created_at),
  });
};

export const writeStack = (row: StackRow): Sql => ({
  name: row.name,
  working_dir: row.workingDir,
  files_json: toJson(row.files),
  project_json: toJson(row.project),
  supervisor_json: toJson(row.supervisor),
  created_at: row.createdAt,
});

export const readVm = (row: Sql): VmRow => ({
  id: text(row.id),
  stack: text(row.stack),
  service: text(row.service),
  number: Number(row.number),
  oneOff: row.one_off === 1,
  name: text(row.name),
  state: text(row.state) as VmRow['state'],
  health: text(row.health) as VmRow['health'],
  exitCode: Number(row.exit_code),
  reason: row.reason === null ? undefined : text(row.reason),
  restarts: Number(row.restarts),
  configHash: text(row.config_hash),
  imageId: text(row.image_id),
  spec: json(row.spec_json),
  machine: optionalJson(row.machine_json),
  saved: optionalJson(row.saved_json),
  published: json(row.published_json),
  stoppedByUser: row.stopped_by_user === 1,
  createdAt: Number(row.created_at),
  startedAt: optional(row.started_at),
  finishedAt: optional(row.finished_at),
  bootMs: optional(row.boot_ms),
  run: optional(row.run),
  env: optionalJson(row.env_json),
});

export const writeVm = (row: VmRow): Sql => ({
  id: row.id,
  stack: row.stack,
  service: row.service,
  number: row.number,
  one_off: row.oneOff ? 1 : 0,
  name: row.name,
  state: row.state,
  health: row.health,
  exit_code: row.exitCode,
  reason: row.reason ?? null,
  restarts: row.restarts,
  config_hash: row.configHash,
  image_id: row.imageId,
  spec_json: toJson(row.spec),
  machine_json: toJson(row.machine),
  saved_json: toJson(row.saved),
  published_json: toJson(row.published),
  stopped_by_user: row.stoppedByUser ? 1 : 0,
  created_at: row.createdAt,
  started_at: row.startedAt ?? null,
  finished_at: row.finishedAt ?? null,
  boot_ms: row.bootMs ?? null,
  run: row.run ?? null,
  env_json: toJson(row.env),
});

export const readNetwork = (row: Sql): NetworkRow => ({
  stack: text(row.stack),
  key: text(row.key),
  name: text(row.name),
  spec: json(row.spec_json),
  configHash: text(row.config_hash),
  record: optionalJson(row.record_json),
  createdAt: Number(row.created_at),
});

export const writeNetwork = (row: NetworkRow): Sql => ({
  stack: row.stack,
  key: row.key,
  name: row.name,
  spec_json: toJson(row.spec),
  config_hash: row.configHash,
  record_json: toJson(row.record),
  created_at: row.createdAt,
});

export const readSharedNetwork = (row: Sql): SharedNetworkRow => ({
  name: text(row.name),
  id: text(row.id),
  spec: json(row.spec_json),
  options: json(row.options_json),
  record: optionalJson(row.record_json),
  createdAt: Number(row.created_at),
});

export const writeSharedNetwork = (row: SharedNetworkRow): Sql => ({
  name: row.name,
  id: row.id,
  spec_json: toJson(row.spec),
  options_json: toJson(row.options),
  record_json: toJson(row.record),
  created_at: row.createdAt,
});

export const readLease = (row: Sql): LeaseRow => ({
  stack: text(row.stack),
  network: text(row.network),
  ip: text(row.ip),
  ...(row.ip6 === null ? {} : { ip6: text(row.ip6) }),
  vmId: text(row.vm_id),
  mac: text(row.mac),
  leasedAt: Number(row.leased_at),
});

export const writeLease = (row: LeaseRow): Sql => ({
  stack: row.stack,
  network: row.network,
  ip: row.ip,
  ip6: row.ip6 ?? null,
  vm_id: row.vmId,
  mac: row.mac,
  leased_at: row.leasedAt,
});

export const readLoopback = (row: Sql): LoopbackRow => ({ address: text(row.address), stack: text(row.stack), owner: text(row.owner) });

export const readVolume = (row: Sql): VolumeRow => ({
  name: text(row.name),
  stack: text(row.stack),
  key: text(row.key),
  form: text(row.form) as VolumeRow['form'],
  path: text(row.path),
  labels: json(row.labels_json),
  createdAt: Number(row.created_at),
});

export const writeVolume = (row: VolumeRow): Sql => ({
  name: row.name,
  stack: row.stack,
  key: row.key,
  form: row.form,
  path: row.path,
  labels_json: toJson(row.labels),
  created_at: row.createdAt,
});
