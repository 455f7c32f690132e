import type { Descriptor } from '../store/format/manifest.ts';

/** The image that an output produced. */
export interface ImageOutcome {
  readonly imageId: string;
  readonly names: readonly string[];
  readonly descriptor: Descriptor & { readonly annotations?: Readonly<Record<string, string>> };
}
