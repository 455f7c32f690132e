import pLimit from 'p-limit';
import { linkedController } from '../../base/abort.ts';
import { atPath, HyprError, messageOf } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { BuildEvent, Image } from '../../builder/model/types.ts';
import type { Project, Service } from '../../compose/model/model.ts';
import { contextServices, findBuildable } from '../../compose/project/build-contexts.ts';
import type { ImagePlatform } from '../model/platform.ts';
import { baseBuilds } from './base-builds.ts';
import { type BuildChoices, buildInput, type ImageAction, platformOf } from './images.ts';

export interface EnsureImagesInput {
  readonly project: Project;
  readonly actions: readonly ImageAction[];
  readonly platform: ImagePlatform;
  readonly progress: ProgressSink;
  readonly onBuild: (service: string, event: BuildEvent) => void;
  /** How builds are made; default: as the file says. */
  readonly build?: BuildChoices;
  /** At most this many pulls and builds at a time; undefined, or less than one: no limit. */
  readonly parallel?: number | undefined;
}

/**
 * Executes the actions concurrently: each image once, and a build after the images it reads, which precede it in
 * `actions`. Returns the image of every service. The first failure cancels the others and is thrown once they have
 * ended.
 */
export const ensureImages = async (input: EnsureImagesInput, signal: AbortSignal): Promise<Record<string, Image>> => {
  const controller = linkedController(signal);
  const { parallel = 0 } = input;
  const limit = pLimit(parallel > 0 ? parallel : Number.POSITIVE_INFINITY);
  const shared = new Map<string, Promise<Image>>();
  const byService = new Map<string, Promise<Image>>();
  let first: { readonly error: unknown } | undefined;
  const results = await Promise.allSettled(
    input.actions.map(async (action) => {
      try {
        const key = action.action === 'build' ? `build ${action.service}` : `${action.builtBy ?? ''} ${action.reference}`;
        const existing = shared.get(key) ?? ensureImage(input, { action, made: byService, limit }, controller.signal);
        shared.set(key, existing);
        byService.set(action.service, existing);
        return [action.service, await existing] as const;
      } catch (error) {
        first ??= { error };
        // Cancelled actions get their own reason, because they have not failed.
        controller.abort(new HyprError('HYPR_CANCELLED', 'another image failed', { cause: error }));
        throw error;
      }
    }),
  );
  if (first !== undefined) {
    throw first.error;
  }
  return Object.fromEntries(results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])));
};

interface Work {
  readonly action: ImageAction;
  /** Images by service, of the actions before this one. */
  readonly made: ReadonlyMap<string, Promise<Image>>;
  readonly limit: ReturnType<typeof pLimit>;
}

const ensureImage = async (input: EnsureImagesInput, { action, made, limit }: Work, signal: AbortSignal): Promise<Image> => {
  const { platform, project } = input;
  const service = findBuildable(project, action.service) as Service;
  /** Takes a slot only when nothing else is awaited, so that what it would wait for can get one. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> =>
    limit(async () => {
      signal.throwIfAborted();
      return await work();
    });
  if (action.builtBy !== undefined) {
    return (await made.get(action.builtBy)) ?? (await needImage(input, { action, name: action.reference }));
  }
  if (action.action === 'pull') {
    const wanted = service.build === undefined ? platformOf(project, action.service, service) : service.platform;
    const options = { policy: 'always', platform: wanted } as const;
    return await inTurn(() =>
      platform.pullImage(action.reference, options, input.progress, signal).catch((error: unknown) => {
        throw atPath(error, ['services', action.service, 'image']);
      }),
    );
  }
  if (action.action === 'build') {
    const read = contextServices(service).map(async (name) => [name, await made.get(name)] as const);
    const serviceImages = Object.fromEntries((await Promise.all(read)).flatMap(([name, image]) => (image ? [[name, image]] : [])));
    const build = buildInput(project, action.service, AS_WRITTEN);
    const bases = await baseBuilds(build, input.actions.slice(0, input.actions.indexOf(action)));
    await Promise.all(bases.map((name) => made.get(name)));
    return await inTurn(() => buildService(input, { action, serviceImages }, signal));
  }
  return await needImage(input, { action, name: action.reference });
};

const buildService = async (
  input: EnsureImagesInput,
  { action, serviceImages }: { action: ImageAction; serviceImages: Readonly<Record<string, Image>> },
  signal: AbortSignal,
): Promise<Image> => {
  const id = `Image ${action.reference}`;
  input.progress({ id, status: 'working', text: 'Building' });
  try {
    const build = buildInput(input.project, action.service, { ...(input.build ?? AS_WRITTEN), serviceImages });
    const imageId = await input.platform.buildImage(build, (event) => input.onBuild(action.service, event), signal);
    input.progress({ id, status: 'done', text: 'Built' });
    // By id, because another service's build may have taken the name in the meantime.
    return await needImage(input, { action, name: imageId });
  } catch (error) {
    const canceled = signal.aborted ? ({ status: 'warning', text: 'Canceled' } as const) : undefined;
    input.progress({ id, ...(canceled ?? { status: 'error', text: 'Error', details: messageOf(error) }) });
    // What went wrong inside of a build shows its Dockerfile.
    const isOfFile = error instanceof HyprError && error.code === 'DOCKERFILE_NOT_FOUND';
    throw isOfFile ? atPath(error, ['services', action.service, 'build']) : error;
  }
};

const AS_WRITTEN: BuildChoices = { noCache: false, pull: false, buildArgs: {} };

const needImage = async (
  { platform }: EnsureImagesInput,
  { action, name }: { readonly action: ImageAction; readonly name: string },
): Promise<Image> => {
  const image = await platform.findImage(name);
  if (image === undefined) {
    throw new HyprError('IMAGE_NOT_FOUND', `image ${action.reference} of service ${action.service} is not in the store`);
  }
  return image;
};
