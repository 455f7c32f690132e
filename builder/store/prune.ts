import { HyprError } from '../../base/errors.ts';
import { familiarReference, parseReference } from '../registry/config/reference.ts';
import { collectGarbage } from './gc.ts';
import type { StoreParts } from './parts.ts';
import { oldestLease } from './tmp.ts';

export interface PruneReport {
  /** Lines as docker prints them: `untagged: …`, `deleted: sha256:…`. */
  readonly removed: readonly string[];
  /** Bytes of the removed layers. */
  readonly bytes: number;
}

/**
 * Removes images that nothing uses: with `dangling` those without a name, with `all` named ones too, with `none` no
 * images, only unused layers. `idle` runs first, once it is certain that no pull or build is running. The caller holds
 * the store's lock, so none can start. `only` keeps images whose id it denies. Throws IMAGE_IN_USE while one is running.
 */
export const pruneImages = async (
  parts: StoreParts,
  which: 'none' | 'dangling' | 'all',
  idle: () => Promise<void> = async () => {},
  only: (imageId: string) => boolean = () => true,
): Promise<PruneReport> => {
  await refuseWhileBusy(parts.root);
  await idle();
  const { records, options } = parts;
  const references = await records.references();
  const removed: string[] = [];
  for (const id of which === 'none' ? [] : await records.imageIds()) {
    const names = references.filter(({ imageId }) => imageId === id).map(({ reference }) => reference);
    const isUsed = ((await options.inUse?.(id)) ?? []).length > 0;
    if (isUsed || !only(id) || (which === 'dangling' && names.length > 0)) {
      continue;
    }
    for (const name of names) {
      await records.removeReference(name);
      removed.push(`untagged: ${familiarReference(parseReference(name))}`);
    }
    await records.removeImage(id);
    removed.push(`deleted: ${id}`);
  }
  const { bytes } = await collectGarbage(parts);
  return { removed, bytes };
};

/** A pull or build holds a lease until its image refers to the layers it added. Throws IMAGE_IN_USE. */
export const refuseWhileBusy = async (root: string): Promise<void> => {
  if ((await oldestLease(root)) !== Number.POSITIVE_INFINITY) {
    throw new HyprError('IMAGE_IN_USE', 'a pull or a build is running', {
      hint: 'try again when it has ended',
    });
  }
};
