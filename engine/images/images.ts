import { isAbsolute, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { isRemoteSource } from '../../builder/git/remote-source.ts';
import type { Project, Service } from '../../compose/model/model.ts';
import { contextServices, findBuildable, orderBuilds } from '../../compose/project/build-contexts.ts';
import { builtImage } from '../model/names.ts';
import type { BuildInput, ImagePlatform } from '../model/platform.ts';
import { staleImage } from './stale-image.ts';

/** What must be done to get a service's image. */
export interface ImageAction {
  readonly service: string;
  readonly reference: string;
  readonly action: 'none' | 'pull' | 'build';
  readonly cause: string;
  /** The service whose build makes this image, when it is not its own. */
  readonly builtBy?: string;
  /** What to say of an image that is there, but was built before its Dockerfile changed. */
  readonly stale?: string;
}

export interface ImageOptions {
  readonly build: boolean;
  readonly noBuild: boolean;
  readonly pull: 'always' | 'missing' | 'never' | 'policy';
}

/** `image:` or, for a service that is only built, `<project>-<service>`. */
export const imageReference = (project: Project, service: string): string =>
  findBuildable(project, service)?.image ?? builtImage(project, service);

interface PlanInput {
  readonly project: Project;
  readonly services: readonly string[];
  readonly options: ImageOptions;
  readonly platform: ImagePlatform;
}

/**
 * Decides for each service between nothing, pull and build, as docker compose does. Includes services whose images a
 * build reads, placed before that build. Reads the store, changes nothing. Throws as orderBuilds does.
 */
export const planImages = async (input: PlanInput): Promise<ImageAction[]> => {
  const { project } = input;
  const actions = new Map<string, ImageAction>();
  for (let next = [...input.services]; next.length > 0; ) {
    const planned = await Promise.all(next.map((name) => planImage(input, name)));
    for (const action of planned) {
      actions.set(action.service, action);
    }
    const read = planned.flatMap(({ action, service }) => (action === 'build' ? contextServices(findBuildable(project, service)) : []));
    next = [...new Set(read)].filter((name) => !actions.has(name));
  }
  const ordered = orderBuilds(project, [...actions.keys()])
    .flatMap((name) => actions.get(name) ?? [])
    .map(afterBuild(actions));
  return [...ordered.filter(({ builtBy }) => builtBy === undefined), ...ordered.filter(({ builtBy }) => builtBy !== undefined)];
};

/** An image that another service builds is that service's to make: pulled it would be another one, or none. */
const afterBuild = (actions: ReadonlyMap<string, ImageAction>): ((action: ImageAction) => ImageAction) => {
  const builders = new Map<string, ImageAction>();
  for (const action of actions.values()) {
    if (action.action === 'build' && !builders.has(action.reference)) {
      builders.set(action.reference, action);
    }
  }
  return (action) => {
    const builder = builders.get(action.reference);
    return builder === undefined || action.action === 'build'
      ? action
      : { ...action, action: 'none', cause: `built by ${builder.service}`, builtBy: builder.service };
  };
};

const planImage = async ({ project, options, platform }: PlanInput, name: string): Promise<ImageAction> => {
  const service = findBuildable(project, name) as Service;
  const reference = imageReference(project, name);
  const present = (await platform.findImage(reference)) !== undefined;
  const decision = decide({ service, options, present });
  if (decision.action === 'build') {
    // Refuses what cannot be built, before anything is.
    platformOf(project, name, service);
  }
  const stale = present && decision.action === 'none' ? await staleImage(project, service, { reference, platform }) : undefined;
  return { service: name, reference, ...decision, ...(stale === undefined ? {} : { stale }) };
};

const decide = (input: { service: Service; options: ImageOptions; present: boolean }): { action: ImageAction['action']; cause: string } => {
  const { service, options, present } = input;
  const policy = options.pull === 'policy' ? (service.pull_policy ?? 'missing') : options.pull;
  if (service.build !== undefined && !options.noBuild) {
    if (options.build || policy === 'build') {
      return { action: 'build', cause: 'asked to build' };
    }
    if (!present && policy !== 'never') {
      return service.image !== undefined && policy === 'always'
        ? { action: 'pull', cause: 'pull policy always' }
        : { action: 'build', cause: 'no such image yet' };
    }
    return { action: 'none', cause: 'present' };
  }
  if (policy === 'always' || /^(daily|weekly|every_)/.test(policy)) {
    return { action: 'pull', cause: `pull policy ${policy}` };
  }
  if (present) {
    return { action: 'none', cause: 'present' };
  }
  if (policy === 'never') {
    throw new HyprError('IMAGE_NOT_FOUND', `image ${service.image ?? '(built)'} is not in the store, and its pull policy is never`, {
      hint: 'pull it first: hypr pull',
    });
  }
  return { action: 'pull', cause: 'no such image yet' };
};

/** The default of docker's commands for the platform of images. */
const DEFAULT_PLATFORM = 'DOCKER_DEFAULT_PLATFORM';

/** The platform of a service's image: its own, or the environment's default; of a build of its `build.platforms`. Throws COMPOSE_INVALID. */
export const platformOf = ({ environment }: Pick<Project, 'environment'>, name: string, service: Service): string | undefined => {
  const given = environment[DEFAULT_PLATFORM] || undefined;
  const platforms = service.build?.platforms;
  if (service.platform === undefined && given !== undefined && platforms?.length && !platforms.includes(given)) {
    throw new HyprError(
      'COMPOSE_INVALID',
      `service "${name}" build.platforms does not support value set by ${DEFAULT_PLATFORM}: ${given}`,
      {
        path: ['services', name, 'build', 'platforms'],
        hint: `add ${given} to build.platforms, or unset ${DEFAULT_PLATFORM}`,
      },
    );
  }
  return service.platform ?? given ?? onlyPlatform(platforms);
};

/** The platform to build for, from `build.platforms`. An image here has one platform: of several, this host's, or else the first. */
const onlyPlatform = (platforms: readonly string[] = []): string | undefined => {
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch;
  return platforms.find((platform) => platform === `linux/${architecture}`) ?? platforms[0];
};

/** Build options of a command, in addition to the file's. */
export type BuildChoices = Pick<BuildInput, 'noCache' | 'pull' | 'buildArgs' | 'ssh' | 'limits' | 'push' | 'provenance'>;

/** The builder's input for a service's `build:`; the image is tagged with its name and `tags:`. */
export const buildInput = (
  project: Project,
  serviceName: string,
  options: BuildChoices & Pick<BuildInput, 'serviceImages'>,
): BuildInput => {
  const service = findBuildable(project, serviceName);
  const config = service?.build;
  if (service === undefined || config === undefined) {
    throw new HyprError('COMPOSE_INVALID', `service ${serviceName} has no build section`);
  }
  const context = config.context ?? '.';
  return {
    config: { ...config, context: isAbsolute(context) || isRemoteSource(context) ? context : join(project.workingDir, context) },
    tags: [imageReference(project, serviceName), ...(config.tags ?? [])],
    labels: { ...config.labels, 'com.docker.compose.project': project.name, 'com.docker.compose.service': serviceName },
    noCache: options.noCache || (config.no_cache ?? false),
    pull: options.pull || (config.pull ?? false),
    buildArgs: options.buildArgs,
    platform: platformOf(project, serviceName, service),
    folder: project.workingDir,
    secrets: project.secrets,
    environment: project.environment,
    // As in docker compose, an image without an explicit name is not pushed.
    ...(options.push && service.image !== undefined ? { push: true } : {}),
    ...(options.provenance === undefined ? {} : { provenance: options.provenance }),
    ...(options.serviceImages === undefined ? {} : { serviceImages: options.serviceImages }),
    ...(options.ssh === undefined ? {} : { ssh: options.ssh }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  };
};
