import { HyprError } from '../../base/errors.ts';
import type { Project, Service } from '../model/model.ts';
import { didYouMean } from '../model/suggest.ts';
import { findBuildable, withContextServices } from './build-contexts.ts';

/** Enables the services whose profiles are active (or that have none); `*` is every profile. */
export const applyProfiles = (project: Project, profiles: readonly string[]): Project => {
  const everyone = Object.entries({ ...project.services, ...project.disabledServices });
  const services = Object.fromEntries(everyone.filter(([, service]) => isActive(service, profiles)));
  const disabledServices = Object.fromEntries(everyone.filter(([, service]) => !isActive(service, profiles)));
  return { ...project, services, disabledServices };
};

const isActive = (service: Service, profiles: readonly string[]): boolean =>
  service.profiles === undefined || profiles.includes('*') || service.profiles.some((profile) => profiles.includes(profile));

/**
 * Keeps the named services and what they depend on; none named keeps all. A named service that is
 * only in inactive profiles brings its profiles with it.
 * @throws COMPOSE_NO_SERVICE
 */
export const selectServices = (
  project: Project,
  names: readonly string[],
  options: { profiles?: readonly string[]; noDeps?: boolean } = {},
): Project => {
  if (names.length === 0) {
    return project;
  }
  const needed = names.flatMap((name) => (project.services[name] === undefined ? (project.disabledServices[name]?.profiles ?? []) : []));
  const enabled = needed.length === 0 ? project : applyProfiles(project, [...(options.profiles ?? []), ...needed]);
  const keep = new Set<string>();
  const queue = names.map((name) => ({ name, by: undefined as string | undefined, required: true }));
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const service = enabled.services[next.name];
    if (service === undefined && next.required) {
      throw noSuchService(enabled, next.name, next.by);
    }
    if (service === undefined || keep.has(next.name)) {
      continue;
    }
    keep.add(next.name);
    for (const [name, dependency] of options.noDeps === true ? [] : Object.entries(service.depends_on ?? {})) {
      queue.push({ name, by: next.name, required: dependency.required });
    }
  }
  return keepServices(enabled, keep);
};

const keepServices = (project: Project, keep: ReadonlySet<string>): Project => {
  const kept = Object.entries(project.services).filter(([name]) => keep.has(name));
  const dropped = Object.entries(project.services).filter(([name]) => !keep.has(name));
  return {
    ...project,
    services: Object.fromEntries(kept.map(([name, service]) => [name, withDependencies(service, keep)])),
    disabledServices: { ...project.disabledServices, ...Object.fromEntries(dropped) },
  };
};

const withDependencies = (service: Service, keep: ReadonlySet<string>): Service => {
  const { depends_on, ...rest } = service;
  const kept = Object.entries(depends_on ?? {}).filter(([dependency]) => keep.has(dependency));
  return kept.length === 0 ? rest : { ...service, depends_on: Object.fromEntries(kept) };
};

/** An error for a service that is not there, or only in an inactive profile. */
export const noSuchService = (project: Project, name: string, by?: string): HyprError => {
  const disabled = project.disabledServices[name];
  const needed = by === undefined ? '' : `, which "${by}" depends on`;
  if (disabled !== undefined) {
    const profiles = disabled.profiles ?? [];
    return new HyprError('COMPOSE_NO_SERVICE', `service "${name}"${needed} is only in the inactive profile ${profiles.join(', ')}`, {
      hint: `add --profile ${profiles[0] ?? ''}`,
    });
  }
  const names = Object.keys(project.services);
  return new HyprError('COMPOSE_NO_SERVICE', `no such service: ${name}${needed}`, {
    hint: didYouMean(name, names) ?? `services of this project: ${names.join(', ')}`,
  });
};

/** Drops networks, volumes, secrets, configs and models that no enabled service uses. */
export const dropUnused = (project: Project): Project => {
  const used = {
    networks: new Set<string>(),
    volumes: new Set<string>(),
    secrets: new Set<string>(),
    configs: new Set<string>(),
    models: new Set<string>(),
  };
  for (const service of Object.values(project.services)) {
    addAll(used.networks, Object.keys(service.networks ?? {}));
    addAll(used.models, Object.keys((service.models as object | undefined) ?? {}));
    addAll(
      used.configs,
      (service.configs ?? []).map(({ source }) => source),
    );
    addAll(
      used.secrets,
      (service.secrets ?? []).map(({ source }) => source),
    );
    addAll(
      used.volumes,
      (service.volumes ?? []).flatMap(({ type, source }) => (type === 'volume' && source !== undefined ? [source] : [])),
    );
  }
  for (const name of withContextServices(project, Object.keys(project.services))) {
    const buildSecrets = findBuildable(project, name)?.build?.secrets as Array<{ source: string }> | undefined;
    addAll(
      used.secrets,
      (buildSecrets ?? []).map(({ source }) => source),
    );
  }
  return {
    ...project,
    networks: pick(project.networks, used.networks),
    volumes: pick(project.volumes, used.volumes),
    secrets: pick(project.secrets, used.secrets),
    configs: pick(project.configs, used.configs),
    models: pick(project.models ?? {}, used.models),
  };
};

const addAll = (set: Set<string>, values: readonly string[]): void => {
  for (const value of values) {
    set.add(value);
  }
};

const pick = <T>(record: Record<string, T>, keys: ReadonlySet<string>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).filter(([key]) => keys.has(key)));
