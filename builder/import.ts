import { changeConfig } from './commit.ts';
import type { Image } from './model/types.ts';
import { type Decompressors, decompressLayer } from './registry/transport/decompress.ts';
import { imageState } from './solver/frame/state.ts';
import { parsePlatform } from './store/format/platform.ts';
import type { ImageStore } from './store/store.ts';

export interface ImportRequest {
  /** The files, as a tar, compressed or not. */
  readonly tar: AsyncIterable<Buffer>;
  /** Absent: the image has no name. */
  readonly reference: string | undefined;
  readonly message: string;
  /** Instructions of a Dockerfile, such as `CMD /app`. */
  readonly changes: readonly string[];
  /** `linux/amd64`; undefined: this host's. */
  readonly platform: string | undefined;
  readonly now: number;
}

/** An image of one layer, from an archive of files. Throws HYPR_USAGE for other instructions, DOCKERFILE_SYNTAX, IMAGE_REFERENCE, IMAGE_LAYER. */
export const importImage = async (
  store: ImageStore,
  { tar, reference, message, changes, platform, now }: ImportRequest,
  { decompressors, signal }: { readonly decompressors: Decompressors; readonly signal: AbortSignal },
): Promise<Image> => {
  const { os, architecture, variant } = parsePlatform(platform);
  const empty = {
    os,
    architecture,
    ...(variant ? { variant } : {}),
    config: {},
    rootfs: { type: 'layers' as const, diff_ids: [] },
    history: [],
  };
  // Before the archive is read: what is wrong in them is said at once.
  const config = changeConfig(imageState(empty, ''), changes);
  const lease = await store.lease();
  try {
    const { diffId } = await store.addLayer(decompressLayer(tar, decompressors), { signal });
    const created = new Date(now).toISOString();
    const blob = { ...empty, created, config, rootfs: { ...empty.rootfs, diff_ids: [diffId] }, history: [{ created, comment: message }] };
    return await store.addImage({ config: Buffer.from(JSON.stringify(blob)), references: reference === undefined ? [] : [reference] });
  } finally {
    await lease.release();
  }
};
