import { isAbsolute, join } from 'node:path';
import type { BuildConfig, Project, Service } from '../../../compose/model/model.ts';
import { contextService, findBuildable, orderBuilds } from '../../../compose/project/build-contexts.ts';
import { isRemoteSource } from '../../../engine/model/build-source.ts';
import type { BuildProjectOptions } from '../../../engine/model/types.ts';

type Target = Readonly<Record<string, unknown>>;

/** `compose build --print`: what would be built, as a file for `docker buildx bake`; keys as docker compose writes them. */
export const bakeFile = (project: Project, names: readonly string[], options: BuildProjectOptions): object => {
  const asked = Object.entries(project.services).flatMap(([name, { build }]) =>
    build !== undefined && (names.length === 0 || names.includes(name)) ? [name] : [],
  );
  const targets = orderBuilds(project, asked).map((name) => {
    const service = findBuildable(project, name) ?? {};
    return [bakeName(name), targetOf(project, { name, service, options })] as const;
  });
  return { group: { default: { targets: targets.map(([name]) => name) } }, target: Object.fromEntries(targets) };
};

/** Bake's names have no dots. */
const bakeName = (service: string): string => service.replaceAll('.', '_');

/** Another service's image is another target's. */
const bakeContexts = ({ additional_contexts: contexts = {} }: BuildConfig): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(contexts).map(([name, value]) => {
      const service = contextService(value);
      return [name, service === undefined ? value : `target:${bakeName(service)}`];
    }),
  );

const targetOf = (
  project: Project,
  { name, service, options }: { name: string; service: Service; options: BuildProjectOptions },
): Target => {
  const build = service.build ?? {};
  const platform = service.platform ?? (project.environment.DOCKER_DEFAULT_PLATFORM || undefined);
  const args = { ...resolveArgs(build, project), ...options.buildArgs };
  const entries: Record<string, unknown> = {
    context: absolute(project, build.context ?? '.'),
    contexts: bakeContexts(build),
    dockerfile: build.dockerfile_inline === undefined ? (build.dockerfile ?? 'Dockerfile') : undefined,
    'dockerfile-inline': build.dockerfile_inline,
    args,
    labels: { ...build.labels, 'com.docker.compose.project': project.name, 'com.docker.compose.service': name },
    tags: [service.image ?? `${project.name}-${name}`, ...(build.tags ?? [])],
    'cache-from': build.cache_from,
    'cache-to': build.cache_to,
    target: build.target,
    network: build.network,
    platforms: platform === undefined ? build.platforms : [platform],
    'extra-hosts': build.extra_hosts,
    shmsize: build.shm_size,
    'no-cache': options.noCache || build.no_cache === true,
    'no-cache-filter': build.no_cache_filter,
    pull: options.pull || build.pull === true,
    output: [options.push === true && service.image !== undefined ? 'type=registry' : 'type=docker'],
  };
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => !isEmpty(value)));
};

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === false || value === null || (typeof value === 'object' && Object.keys(value).length === 0);

const absolute = (project: Project, path: string): string =>
  isAbsolute(path) || isRemoteSource(path) ? path : join(project.workingDir, path);

const resolveArgs = ({ args = {} }: BuildConfig, { environment }: Project): Record<string, string> =>
  Object.fromEntries(
    Object.entries(args).flatMap(([name, given]) => {
      const value = given ?? environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
