/**
 * The structure of a Compose file as JSON Schema (draft 2020-12, the subset that schema/validate.ts
 * reads), written from the Compose Specification's attribute lists in the edition that docker compose
 * v5 validates: 93 service attributes, with `pre_start`, `build.no_cache_filter` and `models` null.
 */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly uniqueItems?: boolean;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
}

const string: Schema = { type: 'string' };
const boolean: Schema = { type: 'boolean' };
const integer: Schema = { type: 'integer' };
const nothing: Schema = { type: 'null' };
const boolText: Schema = { type: ['boolean', 'string'] };
const intText: Schema = { type: ['integer', 'string'] };
const numText: Schema = { type: ['number', 'string'] };
const scalars: Schema = { type: ['string', 'number', 'boolean'] };
const choice = (...values: string[]): Schema => ({ type: 'string', enum: values });
const either = (...schemas: Schema[]): Schema => ({ oneOf: schemas });
const listOf = (items: Schema): Schema => ({ type: 'array', items });
const setOf = (items: Schema): Schema => ({ type: 'array', items, uniqueItems: true });
const strings = setOf(string);

/** Keys of a pattern to values of a schema. */
const mapOf = (pattern: string, value: Schema, rest: Partial<Schema> = { additionalProperties: false }): Schema => ({
  type: 'object',
  patternProperties: { [pattern]: value },
  ...rest,
});

/** A mapping with these keys and `x-…`. */
const object = (properties: Record<string, Schema>, rest: Partial<Schema> = {}): Schema => ({
  type: 'object',
  properties,
  patternProperties: { '^x-': {} },
  additionalProperties: false,
  ...rest,
});

/** A mapping with these keys only. */
const closed = (properties: Record<string, Schema>, rest: Partial<Schema> = {}): Schema => ({
  type: 'object',
  properties,
  additionalProperties: false,
  ...rest,
});

const NAME = '^[a-zA-Z0-9._-]+$';
const stringOrList = either(string, strings);
const command = either(nothing, string, listOf(string));
const listOrDict = either(mapOf('.+', { type: ['string', 'number', 'boolean', 'null'] }), strings);
const extraHosts = either(mapOf('.+', either(string, listOf(string))), strings);
const driverOptions = mapOf('^.+$', { type: ['string', 'number'] }, {});
const texts = mapOf('^.+$', string);

const fileReferences = listOf(either(string, object({ source: string, target: string, uid: string, gid: string, mode: numText })));
const ulimits = mapOf('^[a-z]+$', either(intText, object({ hard: intText, soft: intText }, { required: ['soft', 'hard'] })), {});
const envFile = either(
  string,
  listOf(either(string, closed({ path: string, format: string, required: boolText }, { required: ['path'] }))),
);

const hookFields = { command, user: string, privileged: boolText, working_dir: string, environment: listOrDict };
const hooks = listOf(object(hookFields, { required: ['command'] }));
const preStart = listOf(object({ ...hookFields, image: string, per_replica: boolText }));

const deviceFields = { capabilities: strings, count: intText, device_ids: strings, driver: string, options: listOrDict };
const devices = listOf(object(deviceFields, { required: ['capabilities'] }));
const gpus = either(choice('all'), listOf({ type: 'object', properties: deviceFields }));

const build = either(
  string,
  object({
    context: string,
    dockerfile: string,
    dockerfile_inline: string,
    entitlements: listOf(string),
    args: listOrDict,
    ssh: listOrDict,
    labels: listOrDict,
    cache_from: listOf(string),
    cache_to: listOf(string),
    no_cache: boolText,
    no_cache_filter: stringOrList,
    additional_contexts: listOrDict,
    network: string,
    provenance: boolText,
    sbom: boolText,
    pull: boolText,
    target: string,
    shm_size: intText,
    extra_hosts: extraHosts,
    isolation: string,
    privileged: boolText,
    secrets: fileReferences,
    tags: listOf(string),
    ulimits,
    platforms: listOf(string),
  }),
);

const healthcheck = object({
  disable: boolText,
  interval: string,
  retries: numText,
  test: either(string, listOf(string)),
  timeout: string,
  start_period: string,
  start_interval: string,
});

const develop = object(
  {
    watch: listOf(
      object(
        {
          ignore: stringOrList,
          include: stringOrList,
          path: string,
          action: choice('rebuild', 'sync', 'restart', 'sync+restart', 'sync+exec'),
          target: string,
          exec: object(hookFields, { required: ['command'] }),
          initial_sync: boolean,
        },
        { required: ['path', 'action'] },
      ),
    ),
  },
  { type: ['object', 'null'] },
);

const rollout = object({
  parallelism: intText,
  delay: string,
  failure_action: string,
  monitor: string,
  max_failure_ratio: numText,
  order: choice('start-first', 'stop-first'),
});

const deploy = object(
  {
    mode: string,
    endpoint_mode: string,
    replicas: intText,
    labels: listOrDict,
    rollback_config: rollout,
    update_config: rollout,
    resources: object({
      limits: object({ cpus: numText, memory: string, pids: intText }),
      reservations: object({
        cpus: numText,
        memory: string,
        generic_resources: listOf(object({ discrete_resource_spec: object({ kind: string, value: numText }) })),
        devices,
      }),
    }),
    restart_policy: object({ condition: string, delay: string, max_attempts: intText, window: string }),
    placement: object({
      constraints: listOf(string),
      preferences: listOf(object({ spread: string })),
      max_replicas_per_node: intText,
    }),
  },
  { type: ['object', 'null'] },
);

const blkioLimit = listOf(closed({ path: string, rate: intText }));
const blkio = closed({
  device_read_bps: blkioLimit,
  device_read_iops: blkioLimit,
  device_write_bps: blkioLimit,
  device_write_iops: blkioLimit,
  weight: intText,
  weight_device: listOf(closed({ path: string, weight: intText })),
});

const dependsOn = either(
  strings,
  mapOf(
    NAME,
    object(
      {
        restart: boolText,
        required: boolText,
        condition: choice('service_started', 'service_healthy', 'service_completed_successfully'),
      },
      { required: ['condition'] },
    ),
  ),
);

const serviceNetworks = either(
  strings,
  mapOf(
    NAME,
    either(
      object({
        aliases: strings,
        interface_name: string,
        ipv4_address: string,
        ipv6_address: string,
        link_local_ips: strings,
        mac_address: string,
        driver_opts: driverOptions,
        priority: { type: 'number' },
        gw_priority: { type: 'number' },
      }),
      nothing,
    ),
  ),
);

const ports = setOf(
  either(
    { type: 'number' },
    string,
    object({ name: string, mode: string, host_ip: string, target: intText, published: intText, protocol: string, app_protocol: string }),
  ),
);

const mounts = setOf(
  either(
    string,
    object(
      {
        type: choice('bind', 'volume', 'tmpfs', 'cluster', 'npipe', 'image'),
        source: string,
        target: string,
        read_only: boolText,
        consistency: string,
        bind: object({
          propagation: string,
          create_host_path: boolText,
          recursive: choice('enabled', 'disabled', 'writable', 'readonly'),
          selinux: choice('z', 'Z'),
        }),
        volume: object({ labels: listOrDict, nocopy: boolText, subpath: string }),
        tmpfs: object({ size: either({ type: 'integer', minimum: 0 }, string), mode: numText }),
        image: object({ subpath: string }),
      },
      { required: ['type'] },
    ),
  ),
);

const service = object({
  develop,
  deploy,
  annotations: listOrDict,
  attach: boolText,
  build,
  blkio_config: blkio,
  cap_add: strings,
  cap_drop: strings,
  cgroup: choice('host', 'private'),
  cgroup_parent: string,
  command,
  configs: fileReferences,
  container_name: { type: 'string', pattern: '[a-zA-Z0-9][a-zA-Z0-9_.-]+' },
  cpu_count: either(string, { type: 'integer', minimum: 0 }),
  cpu_percent: either(string, { type: 'integer', minimum: 0, maximum: 100 }),
  cpu_shares: numText,
  cpu_quota: numText,
  cpu_period: numText,
  cpu_rt_period: numText,
  cpu_rt_runtime: numText,
  cpus: numText,
  cpuset: string,
  credential_spec: object({ config: string, file: string, registry: string }),
  depends_on: dependsOn,
  device_cgroup_rules: strings,
  devices: listOf(either(string, object({ source: string, target: string, permissions: string }, { required: ['source'] }))),
  dns: stringOrList,
  dns_opt: strings,
  dns_search: stringOrList,
  domainname: string,
  entrypoint: command,
  env_file: envFile,
  label_file: either(string, listOf(string)),
  environment: listOrDict,
  expose: setOf({ type: ['string', 'number'] }),
  extends: either(string, closed({ service: string, file: string }, { required: ['service'] })),
  provider: object({ type: string, options: mapOf('^.+$', either(scalars, listOf(scalars)), {}) }, { required: ['type'] }),
  external_links: strings,
  extra_hosts: extraHosts,
  gpus,
  group_add: setOf({ type: ['string', 'number'] }),
  healthcheck,
  hostname: string,
  image: string,
  init: boolText,
  ipc: string,
  isolation: string,
  labels: listOrDict,
  links: strings,
  logging: object({ driver: string, options: mapOf('^.+$', { type: ['string', 'number', 'null'] }, {}) }),
  mac_address: string,
  mem_limit: numText,
  mem_reservation: intText,
  mem_swappiness: intText,
  memswap_limit: numText,
  network_mode: string,
  models: either(strings, mapOf(NAME, either(object({ endpoint_var: string, model_var: string }), nothing), {})),
  networks: serviceNetworks,
  oom_kill_disable: boolText,
  oom_score_adj: either(string, { type: 'integer', minimum: -1000, maximum: 1000 }),
  pid: { type: ['string', 'null'] },
  pids_limit: numText,
  platform: string,
  ports,
  pre_start: preStart,
  post_start: hooks,
  pre_stop: hooks,
  privileged: boolText,
  profiles: strings,
  pull_policy: { type: 'string', pattern: 'always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+' },
  pull_refresh_after: string,
  read_only: boolText,
  restart: string,
  runtime: string,
  scale: intText,
  security_opt: strings,
  shm_size: numText,
  secrets: fileReferences,
  sysctls: listOrDict,
  stdin_open: boolText,
  stop_grace_period: string,
  stop_signal: string,
  storage_opt: { type: 'object' },
  tmpfs: stringOrList,
  tty: boolText,
  ulimits,
  use_api_socket: boolean,
  user: string,
  uts: string,
  userns_mode: string,
  volumes: mounts,
  volumes_from: strings,
  working_dir: string,
});

/** Networks and volumes may carry `x-…` under `external`; secrets and configs any key. */
const external: Schema = {
  type: ['boolean', 'string', 'object'],
  properties: { name: string },
  patternProperties: { '^x-': {} },
  additionalProperties: false,
};
const looseExternal: Schema = { type: ['boolean', 'string', 'object'], properties: { name: string } };

const network = object(
  {
    name: string,
    driver: string,
    driver_opts: driverOptions,
    ipam: object({
      driver: string,
      config: listOf(object({ subnet: string, ip_range: string, gateway: string, aux_addresses: texts })),
      options: texts,
    }),
    external,
    internal: boolText,
    enable_ipv4: boolText,
    enable_ipv6: boolText,
    attachable: boolText,
    labels: listOrDict,
  },
  { type: ['object', 'null'] },
);

const volume = object(
  { name: string, driver: string, driver_opts: driverOptions, external, labels: listOrDict },
  { type: ['object', 'null'] },
);

const secret = object({
  name: string,
  environment: string,
  file: string,
  external: looseExternal,
  labels: listOrDict,
  driver: string,
  driver_opts: driverOptions,
  template_driver: string,
});

const config = object({
  name: string,
  content: string,
  environment: string,
  file: string,
  external: looseExternal,
  labels: listOrDict,
  template_driver: string,
});

const model = object({ name: string, model: string, context_size: integer, runtime_flags: listOf(string) }, { required: ['model'] });

const include = listOf(
  either(string, closed({ path: stringOrList, env_file: stringOrList, project_directory: string })),
);

export const COMPOSE_SCHEMA: Schema = object({
  version: string,
  name: string,
  include,
  services: mapOf(NAME, service),
  models: mapOf(NAME, model, {}),
  networks: mapOf(NAME, network, {}),
  volumes: mapOf(NAME, volume),
  secrets: mapOf(NAME, secret),
  configs: mapOf(NAME, config),
});
