import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import pLimit from 'p-limit';
import { linkedController } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { Image } from '../model/types.ts';
import { ociDigest } from '../store/format/digest.ts';
import type { ImageStore } from '../store/store.ts';
import { makeStagingFolder } from '../store/tmp.ts';
import { familiarReference, formatReference, parseReference, repositoryName } from './config/reference.ts';
import { findKnownBlobs, type KnownBlob } from './known-blobs.ts';
import { type PushedLayer, pushManifestFor } from './push-manifest.ts';
import type { PushTarget } from './push-target.ts';
import type { Registries } from './registries.ts';
import { gzipLayer } from './transport/gzip-layer.ts';
import type { BlobSource } from './upload.ts';

export interface PushOptions {
  readonly store: ImageStore;
  readonly registries: Registries;
  /** In familiar form; names the image in the store as well as registry, repository and tag. */
  readonly reference: string;
  /** Id of the image to push, if it is not the one with that name. */
  readonly imageId?: string | undefined;
  /** Push the manifest by digest only, without changing a tag (`--output type=image,push-by-digest=true`). */
  readonly byDigest?: boolean | undefined;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

export interface PushResult {
  /** Fully qualified: docker.io/me/app:1. */
  readonly reference: string;
  /** Digest, size and media type of the pushed manifest, as an index over several pushes needs them. */
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
}

/** As many parallel uploads as docker's daemon has. Layers are compressed one at a time, because that already uses all cores. */
const BLOBS_AT_ONCE = 5;
const compressing = pLimit(1);

/**
 * Pushes an image of the store to its registry. Layers that the registry has are not sent, layers in another repository
 * of the same registry are mounted, and the others are compressed again. The image's original manifest is pushed if all
 * of its blobs are in the registry. Progress is in docker's words, for `Image <reference>` and each of its layers.
 * Throws IMAGE_REFERENCE, IMAGE_NOT_FOUND, REGISTRY_….
 */
export const pushImage = async (options: PushOptions): Promise<PushResult> => {
  const { store, registries, progress, signal } = options;
  const reference = parseReference(options.reference);
  if (reference.digest !== undefined) {
    throw new HyprError('IMAGE_REFERENCE', `cannot push ${familiarReference(reference)}: a digest cannot be chosen`, {
      hint: 'push a name with a tag',
    });
  }
  const id = `Image ${options.reference}`;
  progress({ id, status: 'working', text: 'Pushing' });
  const lease = await store.lease();
  try {
    const image = await findImage(store, options);
    const known = await findKnownBlobs(store, image, reference);
    const mountFrom = [...new Set([...known.values()].flat().flatMap(({ repositories }) => repositories))];
    const result = await registries.withPushTarget(reference, { mountFrom, signal }, (target) =>
      pushTo(target, { options, id, image, known }),
    );
    await store.addImage({
      config: await store.readConfig(image.id),
      manifest: result.keep,
      references: [`${repositoryName(reference)}@${result.digest}`],
    });
    progress({ id, status: 'done', text: 'Pushed' });
    return { reference: formatReference(reference), digest: result.digest, size: result.size, mediaType: result.mediaType };
  } catch (error) {
    progress({ id, status: 'error', text: error instanceof HyprError ? error.message : 'Error' });
    throw error;
  } finally {
    await lease.release();
  }
};

/** All names with a tag in these repositories that the store has. Throws IMAGE_NOT_FOUND, and HYPR_USAGE for a name with a tag. */
export const findAllTags = async (store: ImageStore, repositories: readonly string[]): Promise<string[]> => {
  const names = (await store.list()).flatMap(({ references }) => references).filter((name) => !name.includes('@'));
  return repositories.flatMap((text) => {
    const repository = parseReference(text);
    if (/[:@][^/]*$/.test(text)) {
      throw new HyprError('HYPR_USAGE', "tag can't be used with --all-tags/-a", { hint: 'leave the tag, or --all-tags, away' });
    }
    const found = names.filter((name) => repositoryName(parseReference(name)) === repositoryName(repository));
    if (found.length === 0) {
      throw new HyprError('IMAGE_NOT_FOUND', `an image does not exist locally with the repository: ${text}`);
    }
    return found.map((name) => familiarReference(parseReference(name))).sort();
  });
};

const findImage = async (store: ImageStore, { reference, imageId }: PushOptions): Promise<Image> => {
  const image = await store.get(imageId ?? formatReference(parseReference(reference)));
  if (image === undefined) {
    throw new HyprError('IMAGE_NOT_FOUND', `an image does not exist locally with the tag: ${reference}`, {
      hint: 'build it, or name one that is here: hypr tag IMAGE NAME; hypr images lists them',
    });
  }
  return image;
};

interface Job {
  readonly options: PushOptions;
  readonly id: string;
  readonly image: Image;
  /** Compressed forms of its layers that some registry has, by diff id. */
  readonly known: ReadonlyMap<string, readonly KnownBlob[]>;
}

const pushTo = async (target: PushTarget, job: Job) => {
  const { options, image } = job;
  const { store } = options;
  const config = await store.readConfig(image.id);
  // Finds a missing login before anything is compressed.
  await target.hasBlob(image.id);
  const layers = await pushLayers(target, job);
  await target.pushBlob({
    blob: { digest: image.id, size: config.length, open: (from) => Readable.from([config.subarray(from)], { objectMode: false }) },
    signal: options.signal,
  });
  const original = await store.readManifest(image.id);
  const { bytes, mediaType, isForeign } = pushManifestFor({ original, config: { digest: image.id, size: config.length }, layers });
  const digest = ociDigest(bytes);
  await target.pushManifest(options.byDigest ? digest : (parseReference(options.reference).tag ?? 'latest'), { bytes, mediaType });
  // A pulled image keeps the manifest it was pulled with, even after it was pushed with another one.
  return { digest, size: bytes.length, mediaType, keep: isForeign ? original : bytes };
};

/** The first failure cancels the other uploads. */
const pushLayers = async (target: PushTarget, job: Job): Promise<PushedLayer[]> => {
  const { signal: outer } = job.options;
  const limit = pLimit(BLOBS_AT_ONCE);
  const failing = linkedController(outer);
  const { signal } = failing;
  const once = new Map<string, Promise<PushedLayer>>();
  const start = (diffId: string): Promise<PushedLayer> =>
    limit(async () => {
      signal.throwIfAborted();
      return pushLayer(target, { job, diffId, signal });
    });
  const results = await Promise.allSettled(
    job.image.layers.map(async (diffId) => {
      const work = once.get(diffId) ?? start(diffId);
      once.set(diffId, work);
      return work.catch((error: unknown) => {
        failing.abort(error);
        throw error;
      });
    }),
  );
  outer.throwIfAborted();
  signal.throwIfAborted();
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
};

interface LayerJob {
  readonly job: Job;
  readonly diffId: string;
  readonly signal: AbortSignal;
}

const pushLayer = async (target: PushTarget, { job, diffId, signal }: LayerJob): Promise<PushedLayer> => {
  const { store, progress } = job.options;
  const say = (status: 'working' | 'done', text: string, bytes: { current?: number; total?: number } = {}) =>
    progress({ id: diffId.slice(7, 19), parentId: job.id, status, text, ...bytes });
  say('working', 'Preparing');
  const known = job.known.get(diffId) ?? [];
  for (const { descriptor, repositories } of known) {
    if (await target.hasBlob(descriptor.digest)) {
      say('done', 'Layer already exists');
      return descriptor;
    }
    for (const from of repositories) {
      if (await target.mountBlob(descriptor.digest, from)) {
        say('done', `Mounted from ${from}`);
        return descriptor;
      }
    }
  }
  const staging = await makeStagingFolder(store.root, 'push');
  try {
    const path = join(staging.path, 'layer.tar.gz');
    const { digest, size } = await compressing(() => {
      signal.throwIfAborted();
      say('working', 'Compressing');
      return gzipLayer(store.originalLayer(diffId), path, signal);
    });
    await store.rememberBlob(diffId, { digest, size });
    const blob: BlobSource = { digest, size, open: (from) => createReadStream(path, { start: from, highWaterMark: 256 * 1024 }) };
    const { how } = await target.pushBlob({
      blob,
      signal,
      onBytes: hundredths(size, (current) => say('working', 'Pushing', { current, total: size })),
    });
    say('done', how === 'exists' ? 'Layer already exists' : 'Pushed', how === 'exists' ? {} : { current: size, total: size });
    return { digest, size };
  } finally {
    await staging.remove();
  }
};

/** Reports byte counts at most once for every percent. */
const hundredths = (total: number, tell: (bytes: number) => void) => {
  let told = 0;
  return (current: number) => {
    if (current - told > total / 100) {
      told = current;
      tell(current);
    }
  };
};
