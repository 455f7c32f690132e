import type { Toolchain } from '../../vmm/model/tools.ts';
import type { Layers } from './layers.ts';
import type { Lookup } from './lookup.ts';
import type { Records } from './records.ts';
import type { RootDisks } from './root-disk.ts';

export interface ImageStoreOptions {
  /** HYPR_HOME/images. */
  readonly root: string;
  readonly toolchain: Pick<Toolchain, 'mkfsErofs'>;
  /** Who uses an image, for the error that refuses to remove it: `service web of stack shop`. */
  readonly inUse?: ((imageId: string) => Promise<readonly string[]> | readonly string[]) | undefined;
  /** Diff ids of layers that belong to no image but must be kept (those of the build cache). */
  readonly keepLayers?: (() => Promise<readonly string[]> | readonly string[]) | undefined;
  /** False keeps what killed processes left behind, so that it can be listed. Default true. */
  readonly sweep?: boolean | undefined;
}

/** What the store's operations share. */
export interface StoreParts {
  readonly root: string;
  readonly records: Records;
  readonly layers: Layers;
  readonly disks: RootDisks;
  readonly lookup: Lookup;
  readonly options: ImageStoreOptions;
}
