import { formatLayoutSource } from '../../model/layout-source.ts';
import { decompressLayer, type ZstdCommand } from '../../registry/transport/decompress.ts';
import { type LayoutImage, openLayoutImage } from '../../store/archive/oci-layout.ts';
import type { BaseImage, FindLayout } from '../frame/build-context.ts';
import { makeKey } from '../frame/cache.ts';
import type { BuildProgress } from '../frame/progress.ts';
import { type BuildStore, readConfigBlob } from '../frame/store.ts';

interface Options {
  readonly store: Pick<BuildStore, 'ensureLayer'>;
  readonly zstd: ZstdCommand | undefined;
  readonly progress: BuildProgress;
  readonly signal: AbortSignal;
  readonly materials: Map<string, string>;
}

/**
 * Named contexts that are OCI layouts, each once. Their layers come into the store, kept by the build's lease and by what is built
 * on them; the image itself does not: it is not listed and needs no removing. Throws as openLayoutImage, and IMAGE_LAYER.
 */
export const rememberLayouts = (options: Options): FindLayout => {
  const found = new Map<string, Promise<BaseImage>>();
  return ({ name, source }, platform) => {
    const text = formatLayoutSource(source);
    const id = `${platform} ${text}`;
    const known = found.get(id);
    if (known !== undefined) {
      return known;
    }
    const base = options.progress.run(`[context ${name}] load from ${text}`, async (vertex) => {
      const image = await openLayoutImage(source, platform);
      await takeLayers(image, options, (line) => vertex.status(line));
      const blob = readConfigBlob(image.config);
      options.materials.set(packageUrl(name, image.manifestDigest, platform), image.manifestDigest);
      return { image, blob, key: makeKey('image', { layers: blob.rootfs.diff_ids }) };
    });
    found.set(id, base);
    return base;
  };
};

const takeLayers = async (image: LayoutImage, options: Options, say: (text: string) => void): Promise<void> => {
  const { store, zstd, signal } = options;
  for (const [index, diffId] of image.parsed.diffIds.entries()) {
    const layer = image.layers[index];
    if (layer === undefined) {
      continue;
    }
    const open = () => {
      say(`extracting ${layer.digest}`);
      return Promise.resolve(decompressLayer(image.openLayer(layer), { zstd, igzip: undefined }));
    };
    await store.ensureLayer(diffId, open, signal);
  }
};

/** Package URL (purl spec, type oci) for an attestation: without the folder, which is this host's own business. */
export const packageUrl = (name: string, digest: string, platform: string): string =>
  `pkg:oci/${encodeURIComponent(name.toLowerCase())}@${encodeURIComponent(digest)}?platform=${encodeURIComponent(platform)}`;
