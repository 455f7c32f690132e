/**
 * The canonical Project: what `docker compose config --format json` prints, typed (compose-spec,
 * short forms expanded, defaults filled, paths absolute). Extended by the loader's author; the engine reads it.
 */
export interface Project {
  name: string;
  /** Folder that relative paths start from, and the files the model came from (`ls` prints them). */
  workingDir: string;
  files: string[];
  /** Env files and profiles that were named: with them the same model is read again. */
  envFiles?: string[];
  profiles?: string[];
  services: Record<string, Service>;
  /** Services left out by profiles, for `no such service` answers. */
  disabledServices: Record<string, Service>;
  networks: Record<string, NetworkConfig>;
  volumes: Record<string, VolumeConfig>;
  secrets: Record<string, FileObject>;
  configs: Record<string, FileObject>;
  models?: Record<string, ModelConfig>;
  extensions: Record<string, unknown>;
  /** Between the parts of names of replicas and images; `-` when it is missing or empty. */
  separator?: string;
  /** Interpolation environment, for secrets and configs with `environment:`. */
  environment: Record<string, string>;
}

export interface Service {
  image?: string;
  build?: BuildConfig;
  command?: string[] | null;
  entrypoint?: string[] | null;
  environment?: Record<string, string | null>;
  ports?: PortConfig[];
  expose?: string[];
  volumes?: MountConfig[];
  depends_on?: Record<string, { condition: DependsCondition; restart?: boolean; required: boolean }>;
  healthcheck?: HealthcheckConfig;
  networks?: Record<string, ServiceNetwork | null>;
  secrets?: FileReference[];
  configs?: FileReference[];
  restart?: string;
  deploy?: {
    replicas?: number;
    resources?: { limits?: { cpus?: number | string; memory?: string; pids?: number } };
    restart_policy?: { condition?: string; delay?: string; max_attempts?: number; window?: string };
    [key: string]: unknown;
  };
  labels?: Record<string, string>;
  tmpfs?: string[];
  extra_hosts?: string[];
  dns?: string[];
  dns_search?: string[];
  dns_opt?: string[];
  sysctls?: Record<string, string>;
  ulimits?: Record<string, number | { soft: number; hard: number }>;
  cap_add?: string[];
  cap_drop?: string[];
  security_opt?: string[];
  group_add?: string[];
  container_name?: string;
  hostname?: string;
  domainname?: string;
  working_dir?: string;
  user?: string;
  tty?: boolean;
  stdin_open?: boolean;
  read_only?: boolean;
  privileged?: boolean;
  init?: boolean;
  stop_signal?: string;
  /** Go duration, e.g. `1m30s`. */
  stop_grace_period?: string;
  pull_policy?: string;
  platform?: string;
  scale?: number;
  cpus?: number;
  /** Bytes as decimal strings. */
  mem_limit?: string;
  shm_size?: string;
  storage_opt?: Record<string, unknown>;
  network_mode?: string;
  mac_address?: string;
  profiles?: string[];
  post_start?: HookConfig[];
  pre_stop?: HookConfig[];
  pre_start?: HookConfig[];
  [attribute: string]: unknown;
}

export type DependsCondition = 'service_started' | 'service_healthy' | 'service_completed_successfully';

export interface BuildConfig {
  context?: string;
  dockerfile?: string;
  dockerfile_inline?: string;
  args?: Record<string, string | null>;
  target?: string;
  labels?: Record<string, string>;
  tags?: string[];
  no_cache?: boolean;
  no_cache_filter?: string[];
  cache_from?: string[];
  cache_to?: string[];
  provenance?: string | boolean;
  pull?: boolean;
  network?: string;
  additional_contexts?: Record<string, string>;
  extra_hosts?: string[];
  platforms?: string[];
  shm_size?: string;
  [attribute: string]: unknown;
}

export interface PortConfig {
  mode?: string;
  host_ip?: string;
  target: number;
  published?: string;
  protocol?: string;
  name?: string;
  app_protocol?: string;
}

export interface MountConfig {
  type: 'bind' | 'volume' | 'tmpfs' | 'image' | 'npipe' | 'cluster';
  source?: string;
  target: string;
  read_only?: boolean;
  bind?: { create_host_path?: boolean; propagation?: string; selinux?: string };
  volume?: { nocopy?: boolean; subpath?: string };
  tmpfs?: { size?: string; mode?: number };
  image?: { subpath?: string };
  /** `{mount: synced}`. */
  'x-hypr'?: unknown;
}

/** Durations are Go durations; retries a number. */
export interface HealthcheckConfig {
  test?: string[];
  interval?: string;
  timeout?: string;
  start_period?: string;
  start_interval?: string;
  retries?: number;
  disable?: boolean;
}

/** A program that is run in a service's container beside its own. */
export interface HookConfig {
  command?: string[] | null;
  user?: string;
  privileged?: boolean;
  working_dir?: string;
  environment?: Record<string, string | null>;
  /** Of `pre_start` only. */
  image?: string;
  per_replica?: boolean;
}

export interface ServiceNetwork {
  aliases?: string[];
  ipv4_address?: string;
  ipv6_address?: string;
  link_local_ips?: string[];
  driver_opts?: Record<string, string | number>;
  mac_address?: string;
  priority?: number;
  gw_priority?: number;
  interface_name?: string;
  [attribute: string]: unknown;
}

export interface NetworkConfig {
  name: string;
  driver?: string;
  external?: boolean;
  driver_opts?: Record<string, string | number>;
  enable_ipv4?: boolean;
  enable_ipv6?: boolean;
  internal?: boolean;
  ipam?: {
    driver?: string;
    options?: Record<string, string>;
    config?: Array<{ subnet?: string; gateway?: string; ip_range?: string; aux_addresses?: Record<string, string> }>;
  };
  labels?: Record<string, string>;
  [attribute: string]: unknown;
}

export interface VolumeConfig {
  name: string;
  driver?: string;
  driver_opts?: Record<string, string>;
  external?: boolean;
  labels?: Record<string, string>;
}

/** A secret or config of the top level. */
export interface FileObject {
  name: string;
  file?: string;
  environment?: string;
  content?: string;
  external?: boolean;
}

/** Its use by a service; `mode` is an octal string. */
export interface FileReference {
  source: string;
  target?: string;
  uid?: string;
  gid?: string;
  mode?: string;
}

/** A model of the top level (`models:`), served to services that name it. */
export interface ModelConfig {
  name?: string;
  model: string;
  context_size?: number;
  runtime_flags?: string[];
}
