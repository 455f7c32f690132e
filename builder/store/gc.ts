import { join } from 'node:path';
import { sweepStaging } from '../../base/host/staging.ts';
import type { StoreParts } from './parts.ts';
import { EMPTY_LAYER } from './root-disk.ts';
import { oldestLease } from './tmp.ts';

export interface GarbageReport {
  /** Diff ids. */
  readonly layers: readonly string[];
  /** Size of the removed layers' uncompressed tars. */
  readonly bytes: number;
}

/**
 * Removes layers, root disks and blobs that no image, no build cache and no running pull or build needs. The caller
 * holds the store's lock; a layer that is added meanwhile is protected by the lease of the process that adds it.
 */
export const collectGarbage = async (parts: StoreParts): Promise<GarbageReport> => {
  const { root, records, layers, disks, options } = parts;
  const usedBefore = await oldestLease(root);
  const images = await Promise.all((await records.imageIds()).map((id) => records.readImage(id)));
  const living = images.filter((image) => image !== undefined);
  const kept = new Set([EMPTY_LAYER, ...((await options.keepLayers?.()) ?? []), ...living.flatMap((image) => image.layers)]);
  await disks.prune(
    living.map((image) => image.layers),
    usedBefore,
  );
  const removed: string[] = [];
  let bytes = 0;
  for (const { diffId, usedAt } of await layers.list()) {
    if (!kept.has(diffId) && usedAt < usedBefore) {
      bytes += (await layers.peek(diffId))?.size ?? 0;
      await layers.remove(diffId);
      removed.push(diffId);
    }
  }
  const blobs = new Set(living.flatMap((image) => [image.id, image.manifestDigest]));
  for (const digest of await records.blobs()) {
    if (!blobs.has(digest)) {
      await records.removeBlob(digest);
    }
  }
  await sweepStaging(join(root, 'tmp'));
  return { layers: removed, bytes };
};
