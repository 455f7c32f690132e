import { all, kept, listOf, mapOf, of, struct } from './field-types.ts';

/**
 * The canonical model as data: for each object its attributes in the order docker compose prints
 * them, with their types. Binding (bind.ts) and both outputs (render.ts) read this one table.
 */

const fileReference = struct({ ...all('text', 'source target uid gid'), mode: kept('fileMode') });

const deviceRequest = struct({
  capabilities: of('strings'),
  driver: of('text'),
  count: of('deviceCount'),
  device_ids: of('strings'),
  options: of('mapping'),
});

const build = struct({
  ...all('text', 'context dockerfile dockerfile_inline'),
  entitlements: of('strings'),
  args: of('environment'),
  ...all('text', 'provenance sbom'),
  ssh: of('ssh'),
  labels: of('mapping'),
  ...all('strings', 'cache_from cache_to'),
  no_cache: of('bool'),
  no_cache_filter: of('strings'),
  additional_contexts: of('mapping'),
  pull: of('bool'),
  extra_hosts: of('hosts'),
  ...all('text', 'isolation network target'),
  secrets: listOf(fileReference),
  shm_size: of('bytes'),
  tags: of('strings'),
  ulimits: mapOf(of('ulimit')),
  platforms: of('strings'),
  privileged: of('bool'),
});

const hook = struct(
  {
    command: of('command'),
    ...all('text', 'image user'),
    privileged: of('bool'),
    working_dir: of('text'),
    environment: of('environment'),
    per_replica: of('bool'),
  },
  { jsonAbsent: { command: null } },
);

const develop = struct({
  watch: listOf(
    struct(
      {
        path: kept('text'),
        action: kept('text'),
        target: of('text'),
        exec: { ...hook, omitEmpty: true },
        ...all('strings', 'include ignore'),
        initial_sync: of('bool'),
      },
      { jsonAbsent: { exec: { command: null } } },
    ),
  ),
});

const throttle = struct({ path: kept('text'), rate: kept('bytes') }, { jsonNames: { path: 'Path', rate: 'Rate' } });
const blkio = struct({
  weight: of('int'),
  weight_device: listOf(struct({ path: kept('text'), weight: kept('int') }, { jsonNames: { path: 'Path', weight: 'Weight' } })),
  device_read_bps: listOf(throttle),
  device_read_iops: listOf(throttle),
  device_write_bps: listOf(throttle),
  device_write_iops: listOf(throttle),
});

const rollout = struct({
  parallelism: kept('int'),
  delay: of('duration'),
  failure_action: of('text'),
  monitor: of('duration'),
  max_failure_ratio: of('float'),
  order: of('text'),
});

const resource = struct({
  cpus: of('float'),
  memory: of('bytes'),
  pids: of('int'),
  devices: listOf(deviceRequest),
  generic_resources: listOf(struct({ discrete_resource_spec: struct({ kind: kept('text'), value: kept('int') }) })),
});

const deploy = struct(
  {
    mode: of('text'),
    replicas: kept('int'),
    labels: of('mapping'),
    update_config: rollout,
    rollback_config: rollout,
    resources: struct({ limits: resource, reservations: resource }, { omitEmpty: true }),
    restart_policy: struct({
      condition: of('text'),
      delay: kept('duration'),
      max_attempts: kept('int'),
      window: kept('duration'),
    }),
    placement: struct(
      { constraints: of('strings'), preferences: listOf(struct({ spread: of('text') })), max_replicas_per_node: of('int') },
      { omitEmpty: true },
    ),
    endpoint_mode: of('text'),
  },
  { jsonAbsent: { resources: {}, placement: {} } },
);

const serviceNetwork = struct({
  aliases: of('strings'),
  driver_opts: of('options'),
  gw_priority: of('int'),
  ...all('text', 'interface_name ipv4_address ipv6_address'),
  link_local_ips: of('strings'),
  mac_address: of('text'),
  priority: of('int'),
});

const port = struct({
  ...all('text', 'name mode host_ip'),
  target: of('int'),
  ...all('text', 'published protocol app_protocol'),
});

const mount = struct({
  ...all('text', 'type source target'),
  read_only: of('bool'),
  consistency: of('text'),
  bind: struct({ ...all('text', 'selinux propagation'), create_host_path: of('optOut'), recursive: of('text') }),
  volume: struct({ labels: of('mapping'), nocopy: of('bool'), subpath: of('text') }),
  tmpfs: struct({ size: of('bytes'), mode: of('int') }),
  image: struct({ subpath: of('text') }),
});

const healthcheck = struct({
  test: of('healthTest'),
  timeout: kept('duration'),
  interval: kept('duration'),
  retries: kept('int'),
  start_period: kept('duration'),
  start_interval: kept('duration'),
  disable: of('bool'),
});

export const SERVICE = struct(
  {
    profiles: of('strings'),
    annotations: of('mapping'),
    attach: kept('bool'),
    build,
    develop,
    blkio_config: blkio,
    ...all('strings', 'cap_add cap_drop'),
    ...all('text', 'cgroup_parent cgroup'),
    cpu_count: of('int'),
    cpu_percent: of('float'),
    ...all('int', 'cpu_period cpu_quota cpu_rt_period cpu_rt_runtime'),
    cpus: of('float'),
    cpuset: of('text'),
    cpu_shares: of('int'),
    command: of('command'),
    configs: listOf(fileReference),
    container_name: of('text'),
    credential_spec: struct(all('text', 'config file registry')),
    depends_on: mapOf(struct({ condition: of('text'), restart: of('bool'), required: kept('bool') })),
    deploy,
    device_cgroup_rules: of('strings'),
    devices: listOf(struct(all('text', 'source target permissions'))),
    ...all('strings', 'dns dns_opt dns_search'),
    ...all('text', 'dockerfile domainname'),
    entrypoint: of('command'),
    provider: struct({ type: of('text'), options: of('multiOptions') }),
    environment: of('environment'),
    env_file: listOf(struct({ path: of('text'), required: of('optOut'), format: of('text') })),
    expose: of('strings'),
    extends: struct(all('text', 'file service')),
    external_links: of('strings'),
    extra_hosts: of('hosts'),
    group_add: of('strings'),
    gpus: listOf(deviceRequest),
    hostname: of('text'),
    healthcheck,
    image: of('text'),
    init: kept('bool'),
    ...all('text', 'ipc isolation'),
    labels: of('mapping'),
    ...all('strings', 'label_file links'),
    logging: struct({ driver: of('text'), options: of('options') }),
    log_driver: of('text'),
    log_opt: of('options'),
    ...all('bytes', 'mem_limit mem_reservation memswap_limit mem_swappiness'),
    mac_address: of('text'),
    models: mapOf(struct(all('text', 'endpoint_var model_var'))),
    ...all('text', 'net network_mode'),
    networks: mapOf(serviceNetwork),
    oom_kill_disable: of('bool'),
    oom_score_adj: of('int'),
    pid: of('text'),
    pids_limit: of('int'),
    platform: of('text'),
    ports: listOf(port),
    privileged: of('bool'),
    pull_policy: of('text'),
    read_only: of('bool'),
    ...all('text', 'restart runtime'),
    scale: kept('int'),
    secrets: listOf(fileReference),
    security_opt: of('strings'),
    shm_size: of('bytes'),
    stdin_open: of('bool'),
    stop_grace_period: kept('duration'),
    stop_signal: of('text'),
    storage_opt: of('textOptions'),
    sysctls: of('mapping'),
    tmpfs: of('strings'),
    tty: of('bool'),
    ulimits: mapOf(of('ulimit')),
    use_api_socket: of('bool'),
    ...all('text', 'user userns_mode uts volume_driver'),
    volumes: listOf(mount),
    volumes_from: of('strings'),
    working_dir: of('text'),
    pre_start: listOf(hook),
    post_start: listOf(hook),
    pre_stop: listOf(hook),
  },
  { jsonAbsent: { command: null, entrypoint: null } },
);

export const NETWORK = struct(
  {
    ...all('text', 'name driver'),
    driver_opts: of('options'),
    ipam: struct(
      {
        driver: of('text'),
        config: listOf(struct({ ...all('text', 'subnet gateway ip_range'), aux_addresses: of('mapping') })),
        options: of('options'),
      },
      { omitEmpty: true },
    ),
    ...all('bool', 'external internal attachable'),
    labels: of('mapping'),
    enable_ipv4: kept('bool'),
    enable_ipv6: kept('bool'),
  },
  { jsonAbsent: { ipam: {} } },
);

export const VOLUME = struct({
  ...all('text', 'name driver'),
  driver_opts: of('options'),
  external: of('bool'),
  labels: of('mapping'),
});

/** Secrets and configs. */
export const FILE_OBJECT = struct({
  ...all('text', 'name file environment'),
  // An empty one is an empty file.
  content: kept('text'),
  external: of('bool'),
  labels: of('mapping'),
  driver: of('text'),
  driver_opts: of('options'),
  template_driver: of('text'),
});

export const MODEL = struct({ ...all('text', 'name model'), context_size: of('int'), runtime_flags: of('strings') });
