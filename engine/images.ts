import { isAbsolute, join } from 'node:path';
import { HyprError, messageOf } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import { isRemoteSource } from '../builder/remote-source.ts';
import type { BuildEvent, Image } from '../builder/types.ts';
import { contextServices, findBuildable, orderBuilds } from '../compose/build-contexts.ts';
import type { Project, Service } from '../compose/model.ts';
import type { BuildInput, ImagePlatform } from './platform.ts';

/** What has to be done so that a service has an image. */
export interface ImageAction {
  readonly service: string;
  readonly reference: string;
  readonly action: 'none' | 'pull' | 'build';
  readonly cause: string;
}

export interface ImageOptions {
  readonly build: boolean;
  readonly noBuild: boolean;
  readonly pull: 'always' | 'missing' | 'never' | 'policy';
}

/** `image:` or, for a service that is only built, `<project>-<service>`. */
export const imageReference = (project: Project, service: string): string =>
  findBuildable(project, service)?.image ?? `${project.name}-${service}`;

interface PlanInput {
  readonly project: Project;
  readonly services: readonly string[];
  readonly options: ImageOptions;
  readonly platform: ImagePlatform;
}

/**
 * Decides per service between nothing, pull and build, as docker compose does; also for services that were not asked for, but
 * whose images a build reads. Those come before that build. Reads the store, changes nothing. Throws as orderBuilds.
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
  return orderBuilds(project, [...actions.keys()]).flatMap((name) => actions.get(name) ?? []);
};

const planImage = async ({ project, options, platform }: PlanInput, name: string): Promise<ImageAction> => {
  const service = findBuildable(project, name) as Service;
  const reference = imageReference(project, name);
  const present = (await platform.findImage(reference)) !== undefined;
  return { service: name, reference, ...decide({ service, options, present }) };
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

export interface EnsureImagesInput {
  readonly project: Project;
  readonly actions: readonly ImageAction[];
  readonly platform: ImagePlatform;
  readonly progress: ProgressSink;
  readonly onBuild: (service: string, event: BuildEvent) => void;
}

/**
 * Carries the decisions out, side by side; each image once, and a build after those it reads, which come before it in `actions`.
 * Gives every service its image.
 */
export const ensureImages = async (input: EnsureImagesInput, signal: AbortSignal): Promise<Record<string, Image>> => {
  const controller = new AbortController();
  const both = AbortSignal.any([signal, controller.signal]);
  const shared = new Map<string, Promise<Image>>();
  const byService = new Map<string, Promise<Image>>();
  const results = await Promise.allSettled(
    input.actions.map(async (action) => {
      try {
        const key = action.action === 'build' ? `build ${action.service}` : action.reference;
        const existing = shared.get(key) ?? ensureImage(input, { action, made: byService }, both);
        shared.set(key, existing);
        byService.set(action.service, existing);
        return [action.service, await existing] as const;
      } catch (error) {
        controller.abort(error);
        throw error;
      }
    }),
  );
  if (controller.signal.aborted) {
    throw controller.signal.reason;
  }
  return Object.fromEntries(results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])));
};

interface Work {
  readonly action: ImageAction;
  /** Images by service, of the actions before this one. */
  readonly made: ReadonlyMap<string, Promise<Image>>;
}

const ensureImage = async (input: EnsureImagesInput, { action, made }: Work, signal: AbortSignal): Promise<Image> => {
  const { platform, project } = input;
  const service = findBuildable(project, action.service) as Service;
  if (action.action === 'pull') {
    return platform.pullImage(action.reference, { policy: 'always', platform: service.platform }, input.progress, signal);
  }
  if (action.action === 'build') {
    const read = contextServices(service).map(async (name) => [name, await made.get(name)] as const);
    const serviceImages = Object.fromEntries((await Promise.all(read)).flatMap(([name, image]) => (image ? [[name, image]] : [])));
    signal.throwIfAborted();
    await buildService(input, { action, serviceImages }, signal);
  }
  const image = await platform.findImage(action.reference);
  if (image === undefined) {
    throw new HyprError('IMAGE_NOT_FOUND', `image ${action.reference} of service ${action.service} is not in the store`);
  }
  return image;
};

const buildService = async (
  input: EnsureImagesInput,
  { action, serviceImages }: { action: ImageAction; serviceImages: Readonly<Record<string, Image>> },
  signal: AbortSignal,
): Promise<void> => {
  const id = `Image ${action.reference}`;
  input.progress({ id, status: 'working', text: 'Building' });
  try {
    const build = buildInput(input.project, action.service, { noCache: false, pull: false, buildArgs: {}, serviceImages });
    await input.platform.buildImage(build, (event) => input.onBuild(action.service, event), signal);
    input.progress({ id, status: 'done', text: 'Built' });
  } catch (error) {
    input.progress({ id, status: 'error', text: 'Error', details: messageOf(error) });
    throw error;
  }
};

/** `build.platforms`: one is built for; of several, this host's is (an image here is for one), or else the first. */
const onlyPlatform = (platforms: readonly string[] = []): string | undefined => {
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch;
  return platforms.find((platform) => platform === `linux/${architecture}`) ?? platforms[0];
};

/** `build:` of a service as the builder's input; its image name and `tags:` are the tags. */
export const buildInput = (
  project: Project,
  serviceName: string,
  options: Pick<BuildInput, 'noCache' | 'pull' | 'buildArgs' | 'ssh' | 'limits' | 'push' | 'provenance' | 'serviceImages'>,
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
    platform: service.platform ?? onlyPlatform(config.platforms),
    folder: project.workingDir,
    secrets: project.secrets,
    environment: project.environment,
    // As docker compose: what has no name of its own stays here.
    ...(options.push && service.image !== undefined ? { push: true } : {}),
    ...(options.provenance === undefined ? {} : { provenance: options.provenance }),
    ...(options.serviceImages === undefined ? {} : { serviceImages: options.serviceImages }),
    ...(options.ssh === undefined ? {} : { ssh: options.ssh }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  };
};
