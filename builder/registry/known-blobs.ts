import type { Image } from '../model/types.ts';
import { isDigest } from '../store/format/digest.ts';
import { parseObject } from '../store/format/image-config.ts';
import type { Descriptor } from '../store/format/manifest.ts';
import type { ImageStore } from '../store/store.ts';
import { parseReference, type Reference } from './config/reference.ts';

/** A compressed form of a layer, and the repositories (library/nginx) of one registry that have it. */
export interface KnownBlob {
  readonly descriptor: Descriptor;
  readonly repositories: readonly string[];
}

/** Each candidate costs a request that may fail. */
const MAX_BLOBS = 3;
const MAX_REPOSITORIES = 2;

/**
 * Compressed forms of an image's layers, by diff id, from the manifests in the store, the image's own first. Compressed
 * blobs are not kept, but a layer need not be sent to a registry that has one of them.
 */
export const findKnownBlobs = async (store: ImageStore, image: Image, target: Reference): Promise<Map<string, KnownBlob[]>> => {
  const found = new Map<string, Map<string, { descriptor: Descriptor; repositories: Set<string> }>>();
  const wanted = new Set(image.layers);
  const others = (await store.list()).filter(({ id, layers }) => id !== image.id && layers.some((diffId) => wanted.has(diffId)));
  for (const each of [image, ...others]) {
    const descriptors = await layersOf(store, each);
    const repositories = repositoriesAt(each, target);
    for (const [index, diffId] of each.layers.entries()) {
      const descriptor = descriptors[index];
      if (descriptor === undefined || descriptor.digest === diffId || !wanted.has(diffId)) {
        continue;
      }
      const blobs = found.get(diffId) ?? new Map<string, { descriptor: Descriptor; repositories: Set<string> }>();
      const blob = blobs.get(descriptor.digest) ?? { descriptor, repositories: new Set<string>() };
      for (const repository of repositories) {
        blob.repositories.add(repository);
      }
      found.set(diffId, blobs.set(descriptor.digest, blob));
    }
  }
  return new Map(
    [...found].map(([diffId, blobs]) => [
      diffId,
      [...blobs.values()]
        .slice(0, MAX_BLOBS)
        .map(({ descriptor, repositories }) => ({ descriptor, repositories: [...repositories].slice(0, MAX_REPOSITORIES) })),
    ]),
  );
};

/** In order; empty if the manifest has another number of layers than the image. */
const layersOf = async (store: ImageStore, image: Image): Promise<Descriptor[]> => {
  const { layers } = parseObject(await store.readManifest(image.id));
  const descriptors = (Array.isArray(layers) ? (layers as readonly Descriptor[]) : []).filter(
    ({ digest, size }) => isDigest(String(digest)) && Number.isSafeInteger(size),
  );
  return descriptors.length === image.layers.length ? descriptors : [];
};

/** Other repositories of the target's registry that are known to have the image. */
const repositoriesAt = (image: Image, target: Reference): string[] =>
  image.references
    .map(parseReference)
    .filter(({ domain, path }) => domain === target.domain && path !== target.path)
    .map(({ path }) => path);
