import { HyprError } from '../../base/errors.ts';
import type { HookConfig, Project, Service } from '../../compose/model/model.ts';
import { builtImage, separatorOf } from '../model/names.ts';

/** A `pre_start` hook in a plan: a machine of its own that has to end with 0 before its service starts. */
export interface PreStartHook {
  /** Key of the service in the model that `withPreStart` gives; no service of a file can be called so. */
  readonly key: string;
  readonly index: number;
  /** Name of its machine. */
  readonly replica: string;
}

const keyOf = (service: string, index: number): string => `${service} pre_start[${index}]`;

/** The hooks of a service, in the order in which they run. */
export const preStartHooks = (project: Project, service: string): PreStartHook[] =>
  (project.services[service]?.pre_start ?? []).map((_, index) => ({
    key: keyOf(service, index),
    index,
    replica: [project.name, service, 'pre_start', index].join(separatorOf(project)),
  }));

/**
 * The model with a service for each `pre_start` hook of these services: the image of the hook (default: that of its service) with
 * the service's volumes, networks and environment, and nothing published, checked or restarted. Throws HYPR_UNSUPPORTED for
 * `per_replica`, as docker compose refuses it, too. Pure.
 */
export const withPreStart = (project: Project, services: readonly string[]): Project => {
  const hooks = services.flatMap((name) =>
    (project.services[name]?.pre_start ?? []).map((hook, index) => [keyOf(name, index), hookService(project, name, hook, index)] as const),
  );
  return hooks.length === 0 ? project : { ...project, services: { ...project.services, ...Object.fromEntries(hooks) } };
};

const hookService = (project: Project, name: string, hook: HookConfig, index: number): Service => {
  if (hook.per_replica === true) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `service ${name}: pre_start[${index}]: per_replica is not supported, nor is it by docker compose`,
      {
        path: ['services', name, 'pre_start'],
        hint: 'leave per_replica away: the hook runs once for all replicas of the service',
      },
    );
  }
  const service = project.services[name] as Service;
  const policy = service.pull_policy === 'build' ? 'missing' : service.pull_policy;
  return {
    image: hook.image ?? service.image ?? builtImage(project, name),
    ...(policy === undefined ? {} : { pull_policy: policy }),
    command: hook.command ?? [],
    environment: { ...service.environment, ...hook.environment },
    ...(service.volumes === undefined ? {} : { volumes: service.volumes }),
    ...(service.secrets === undefined ? {} : { secrets: service.secrets }),
    ...(service.configs === undefined ? {} : { configs: service.configs }),
    ...(service.networks === undefined ? {} : { networks: withoutAddresses(service.networks) }),
    ...(service.network_mode === undefined ? {} : { network_mode: service.network_mode }),
    ...(service['x-hypr'] === undefined ? {} : { 'x-hypr': service['x-hypr'] }),
    ...(hook.user === undefined ? {} : { user: hook.user }),
    ...(hook.working_dir === undefined ? {} : { working_dir: hook.working_dir }),
    ...(hook.privileged === undefined ? {} : { privileged: hook.privileged }),
  };
};

/** Names and fixed addresses are the service's own. */
const withoutAddresses = (networks: NonNullable<Service['networks']>): NonNullable<Service['networks']> =>
  Object.fromEntries(Object.keys(networks).map((key) => [key, null]));
