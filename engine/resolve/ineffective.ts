import type { Project } from '../../compose/model/model.ts';

/** Names of the service's attributes that have no effect in a machine of its own, for a warning. */
export const ineffectiveAttributes = (project: Project, name: string): string[] => {
  const service = project.services[name] ?? {};
  const own = Object.keys(NO_EFFECT).filter((attribute) => isSet(service[attribute]) && NO_EFFECT[attribute]?.(service[attribute]));
  const pids = isSet(service.deploy?.resources?.limits?.pids) ? ['deploy.resources.limits.pids'] : [];
  return [...own, ...pids];
};

const always = (): boolean => true;

/** Values by which docker turns a feature off, and loggers whose output `logs` can read. */
const NO_EFFECT: Readonly<Record<string, (value: unknown) => boolean>> = {
  blkio_config: always,
  cgroup: (value) => value !== 'private',
  cgroup_parent: always,
  cpu_percent: always,
  cpu_period: always,
  cpu_quota: always,
  cpu_rt_period: always,
  cpu_rt_runtime: always,
  cpu_shares: always,
  cpuset: always,
  device_cgroup_rules: always,
  isolation: (value) => value !== 'default',
  logging: (value) => !['json-file', 'local', undefined].includes((value as { driver?: string }).driver),
  mem_swappiness: always,
  memswap_limit: always,
  models: always,
  oom_kill_disable: (value) => value === true,
  oom_score_adj: always,
  pids_limit: (value) => Number(value) > 0,
  runtime: (value) => value !== 'runc',
  security_opt: (value) =>
    Array.isArray(value) && value.some((option) => !/^(label|apparmor|systempaths|no-new-privileges)\b|unconfined$/.test(String(option))),
  userns_mode: (value) => value !== 'host',
};

const isSet = (value: unknown): boolean =>
  value !== undefined && value !== null && (typeof value !== 'object' || Object.keys(value).length > 0);
