import { measureLayers } from './layer-usage.ts';
import type { StoreParts } from './parts.ts';

export interface StoreUsage {
  readonly images: number;
  readonly usedImages: number;
  /** Bytes on disk of the layers of all images, each counted once; then of those that only unused images have. */
  readonly imageBytes: number;
  readonly unusedImageBytes: number;
  /** Layers that belong to no image, which are kept for the build cache; then their bytes on disk. */
  readonly otherLayers: number;
  readonly otherBytes: number;
}

/** How the space of a store is used. Reads only. */
export const measureStore = async ({ records, layers, options }: StoreParts): Promise<StoreUsage> => {
  const images = (await Promise.all((await records.imageIds()).map((id) => records.readImage(id)))).filter((image) => image !== undefined);
  const used = new Set<string>();
  const named = new Set<string>();
  let usedImages = 0;
  for (const image of images) {
    const isUsed = ((await options.inUse?.(image.id)) ?? []).length > 0;
    usedImages += isUsed ? 1 : 0;
    for (const diffId of image.layers) {
      named.add(diffId);
      if (isUsed) {
        used.add(diffId);
      }
    }
  }
  let [imageBytes, unusedImageBytes, otherBytes, otherLayers] = [0, 0, 0, 0];
  for (const { diffId, bytes } of await measureLayers({ layers })) {
    if (!named.has(diffId)) {
      otherBytes += bytes;
      otherLayers++;
    } else {
      imageBytes += bytes;
      unusedImageBytes += used.has(diffId) ? 0 : bytes;
    }
  }
  return { images: images.length, usedImages, imageBytes, unusedImageBytes, otherLayers, otherBytes };
};
