import type { Image, ImageRuntime, RootDisk } from '../types.ts';

/** image-spec config.md: one entry per instruction. */
export interface ImageHistory {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** The config blob of an image (image-spec config.md). */
export interface ImageConfigBlob {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly config: Partial<ImageRuntime> & { readonly ArgsEscaped?: boolean };
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids: readonly string[] };
  readonly history?: readonly ImageHistory[];
}

/** What a build needs of the image store. Layers go by their diff id (`sha256:…` of the uncompressed tar). */
export interface BuildStore {
  /** Keeps an uncompressed layer tar; the same content is kept once. */
  addLayer(tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<{ readonly diffId: string }>;
  hasLayer(diffId: string): Promise<boolean>;
  /** An uncompressed tar on disk with what the layer holds; whiteouts as `.wh.` names or as 0:0 devices. */
  layerTar(diffId: string): Promise<string>;
  rootDisk(layers: readonly string[], signal?: AbortSignal): Promise<RootDisk>;
  readConfig(image: Image): Promise<ImageConfigBlob>;
  /** Writes config and manifest for layers that are already there and names them; existing names move. */
  addImage(image: { readonly config: ImageConfigBlob; readonly references: readonly string[] }, signal?: AbortSignal): Promise<Image>;
}
