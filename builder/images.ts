import { neverAborts } from '../base/abort.ts';
import { HyprError, toHyprError } from '../base/errors.ts';
import type { HomePaths } from '../base/paths.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { Toolchain } from '../vmm/model/tools.ts';
import type { Change, ChangesRequest } from './changes.ts';
import type { CommitRequest } from './commit.ts';
import { type HistoryStep, readHistory } from './history.ts';
import type { ImportRequest } from './import.ts';
import type { Image } from './model/types.ts';
import type { Repository } from './registry/client.ts';
import { formatReference, parseReference } from './registry/config/reference.ts';
import type { RegistrySettings } from './registry/config/settings.ts';
import type { PushResult } from './registry/push.ts';
import type { PushTarget } from './registry/push-target.ts';
import type { Registries } from './registry/registries.ts';
import { findDecompressors } from './registry/transport/decompress.ts';
import { loadArchive } from './store/archive/load-archive.ts';
import { saveArchive } from './store/archive/save-archive.ts';
import { asObject, parseObject, text } from './store/format/image-config.ts';
import type { ImageStoreOptions } from './store/parts.ts';
import { type ImageStore, openImageStore } from './store/store.ts';

export interface OpenImagesOptions extends Pick<ImageStoreOptions, 'inUse' | 'keepLayers'> {
  readonly paths: Pick<HomePaths, 'home' | 'images'>;
  readonly toolchain: Pick<Toolchain, 'mkfsErofs'>;
  /** Instead of what the environment and the files of `loadRegistrySettings` say. */
  readonly settings?: RegistrySettings;
  readonly env?: NodeJS.ProcessEnv;
  /** Milliseconds before the first repetition of a request; see openHttp. */
  readonly backoff?: number;
}

/** The images of the store, and what registries have. */
export interface Images {
  readonly store: ImageStore;
  /** `policy`: missing keeps an image that is in the store, always asks the registry. Failures are thrown after all pulls have ended. */
  pull(
    references: readonly string[],
    options: { policy: 'missing' | 'always'; platform?: string },
    onProgress: ProgressSink,
    signal?: AbortSignal,
  ): Promise<Image[]>;
  list(): Promise<Image[]>;
  /** By reference, id or id prefix. */
  inspect(name: string): Promise<Image>;
  /** The steps that built it, latest first. */
  history(name: string): Promise<{ readonly id: string; readonly steps: readonly HistoryStep[] }>;
  /** Returns what docker prints: `Untagged: …`, `Deleted: sha256:…`. */
  remove(names: readonly string[], options: { force: boolean }): Promise<string[]>;
  tag(name: string, reference: string): Promise<void>;
  /** A new image of what a machine changed; see commitImage. */
  commit(request: CommitRequest, signal?: AbortSignal): Promise<Image>;
  /** What a machine changed on its disk; see listChanges. */
  changes(request: ChangesRequest): Promise<Change[]>;
  /** An image from an archive of files; see importImage. */
  import(request: ImportRequest, signal?: AbortSignal): Promise<Image>;
  /** Loads a Docker or OCI archive; returns the loaded references (or ids). */
  load(path: string, onProgress: ProgressSink, signal?: AbortSignal): Promise<string[]>;
  save(names: readonly string[], path: string, options: { format: 'docker' | 'oci' }, signal?: AbortSignal): Promise<void>;
  /** Brings images of the store to their registries, one after the other; `allTags`: every tag here of repositories without one. */
  push(
    references: readonly string[],
    options: { allTags?: boolean },
    onProgress: ProgressSink,
    signal?: AbortSignal,
  ): Promise<PushResult[]>;
  /** For what is more than one image: blobs, manifests and indexes of one's own (see PushTarget); also fetching them. */
  withPushTarget<T>(reference: string, work: (target: PushTarget) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** For reading what is no image: mirrors first, then the registry itself; see Registries. */
  withRepository<T>(reference: string, work: (repository: Repository) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** The digest a reference has at its registry right now. */
  resolveDigest(reference: string, signal?: AbortSignal): Promise<string>;
}

/**
 * Images of one HYPR_HOME. Registries are only set up, and their settings read, when something is pulled; their code,
 * half of a supervisor's, is loaded then as well.
 */
export const openImages = async (options: OpenImagesOptions): Promise<Images> => {
  const { paths, toolchain, inUse, keepLayers, settings, env, backoff } = options;
  const store = await openImageStore({ root: paths.images, toolchain, inUse, keepLayers });
  const decompressors = findDecompressors(toolchain.mkfsErofs);
  const withRegistries = async <T>(work: (registries: Registries) => Promise<T>): Promise<T> => {
    const { openRegistries } = await import('./registry/registries.ts');
    const registries = await openRegistries({ home: paths.home, settings, env, backoff });
    try {
      return await work(registries);
    } finally {
      await registries[Symbol.asyncDispose]();
    }
  };
  return {
    store,
    pull: (references, { policy, platform }, progress, signal = neverAborts()) =>
      withRegistries(async (registries) => {
        const { pullImage } = await import('./registry/pull.ts');
        return pullAll(
          references,
          (reference) => pullImage({ store, registries, reference, platform, policy, decompressors, progress, signal }),
          signal,
        );
      }),
    list: () => store.list(),
    inspect: async (name) => withWords(store, await store.need(name)),
    history: (name) => readHistory(store, name),
    remove: (names, { force }) => removeAll(store, names, force),
    tag: (name, reference) => store.tag(name, reference),
    commit: async (request, signal = neverAborts()) => (await import('./commit.ts')).commitImage(store, request, signal),
    changes: async (request) => (await import('./changes.ts')).listChanges(store, request),
    import: async (request, signal = neverAborts()) => (await import('./import.ts')).importImage(store, request, { decompressors, signal }),
    load: (path, progress, signal) => loadArchive(path, { store, decompressors, progress, signal }),
    save: (names, path, { format }, signal) => saveAll(store, { names, path, format, signal }),
    push: (references, { allTags = false }, progress, signal = neverAborts()) =>
      withRegistries(async (registries) => {
        const { findAllTags, pushImage } = await import('./registry/push.ts');
        const results: PushResult[] = [];
        for (const reference of allTags ? await findAllTags(store, references) : references) {
          results.push(await pushImage({ store, registries, reference, progress, signal }));
        }
        return results;
      }),
    withPushTarget: (reference, work, signal = neverAborts()) =>
      withRegistries((registries) => registries.withPushTarget(parseReference(reference), { signal }, work)),
    withRepository: (reference, work, signal = neverAborts()) =>
      withRegistries((registries) => registries.withRepository(parseReference(reference), signal, work)),
    resolveDigest: (reference, signal = neverAborts()) =>
      withRegistries(async (registries) => (await import('./registry/pull.ts')).resolveDigest(registries, reference, signal)),
  };
};

/** With what its maker wrote about it. */
const withWords = async (store: ImageStore, image: Image): Promise<Image> => {
  const config = parseObject(await store.readConfig(image.id));
  const last = asObject(Array.isArray(config.history) ? config.history.at(-1) : undefined);
  const [author, comment] = [text(config.author), text(config.comment) ?? text(last.comment)];
  const parent = text(config.parent);
  return {
    ...image,
    ...(author === undefined ? {} : { author }),
    ...(comment === undefined ? {} : { comment }),
    ...(parent === undefined ? {} : { parent }),
  };
};

/** All run to their end; then the first failure is thrown, with the others as its details. */
const pullAll = async (
  references: readonly string[],
  pull: (reference: string) => Promise<Image>,
  signal: AbortSignal,
): Promise<Image[]> => {
  const results = await Promise.allSettled([...new Set(references)].map(pull));
  signal.throwIfAborted();
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [toHyprError(result.reason)] : []));
  const [first, ...others] = failures;
  if (first !== undefined) {
    throw others.length === 0 ? first : joinFailures(first, others);
  }
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
};

const joinFailures = (first: HyprError, others: readonly HyprError[]): HyprError =>
  new HyprError(first.code, first.message, {
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    details: [...first.details, ...others.map(({ message }) => message)],
    cause: first,
  });

/** What can be removed is; then the failures are thrown. */
const removeAll = async (store: ImageStore, names: readonly string[], force: boolean): Promise<string[]> => {
  const lines: string[] = [];
  const failures: HyprError[] = [];
  for (const name of names) {
    try {
      lines.push(...(await store.remove(name, { force })));
    } catch (error) {
      failures.push(toHyprError(error));
    }
  }
  const [first, ...others] = failures;
  if (first !== undefined) {
    throw others.length === 0 && lines.length === 0
      ? first
      : joinFailures(first, [...others, ...lines.map((line) => new HyprError(first.code, line))]);
  }
  return lines;
};

const saveAll = async (
  store: ImageStore,
  input: { names: readonly string[]; path: string; format: 'docker' | 'oci'; signal: AbortSignal | undefined },
): Promise<void> => {
  const { names, path, format, signal } = input;
  const byId = new Map<string, { image: Image; references: string[] }>();
  for (const name of names) {
    const image = await store.need(name);
    const entry = byId.get(image.id) ?? { image, references: [] };
    // As docker does: an image saved by its id has no name in the archive.
    const named = image.references.find((reference) => reference === fullName(name));
    byId.set(image.id, { image, references: [...entry.references, ...(named === undefined ? [] : [named])] });
  }
  await saveArchive(store, path, { images: [...byId.values()], format, signal });
};

const fullName = (name: string): string | undefined => {
  try {
    return formatReference(parseReference(name));
  } catch {
    return undefined;
  }
};
