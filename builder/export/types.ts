import type { Descriptor } from '../store/format/manifest.ts';

/** What an output that is an image came to. */
export interface ImageOutcome {
  readonly imageId: string;
  readonly names: readonly string[];
  readonly descriptor: Descriptor & { readonly annotations?: Readonly<Record<string, string>> };
}
