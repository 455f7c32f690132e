import { diskUsage } from '../../base/host/disk-usage.ts';
import type { StoreParts } from './parts.ts';
import { EMPTY_LAYER } from './root-disk.ts';

export interface LayerUsage {
  readonly diffId: string;
  /** On disk. */
  readonly bytes: number;
  /** Milliseconds: when it was last used. */
  readonly used: number;
}

/** Every layer of a store with what it takes. Reads only. */
export const measureLayers = async ({ layers }: Pick<StoreParts, 'layers'>): Promise<LayerUsage[]> => {
  const found: LayerUsage[] = [];
  for (const { diffId, usedAt } of await layers.list()) {
    if (diffId !== EMPTY_LAYER) {
      found.push({ diffId, bytes: await diskUsage(layers.folder(diffId)), used: usedAt });
    }
  }
  return found;
};
