import type { Toolchain } from '../../vmm/model/tools.ts';
import type { Layers } from './layers.ts';
import type { Lookup } from './lookup.ts';
import type { Records } from './records.ts';
import type { RootDisks } from './root-disk.ts';

export interface ImageStoreOptions {
  /** HYPR_HOME/images. */
  readonly root: string;
  readonly toolchain: Pick<Toolchain, 'mkfsErofs'>;
  /** What uses an image, for the refusal to remove it: `service web of stack shop`. */
  readonly inUse?: ((imageId: string) => Promise<readonly string[]> | readonly string[]) | undefined;
  /** diff ids that no image has but that must stay (the build cache's). */
  readonly keepLayers?: (() => Promise<readonly string[]> | readonly string[]) | undefined;
  /** False leaves what killed processes left where it is, to be looked at. Default true. */
  readonly sweep?: boolean | undefined;
}

/** What the operations of a store work on. */
export interface StoreParts {
  readonly root: string;
  readonly records: Records;
  readonly layers: Layers;
  readonly disks: RootDisks;
  readonly lookup: Lookup;
  readonly options: ImageStoreOptions;
}
