import { HyprError } from '../../../base/errors.ts';
import { diskError, explainDiskFull } from '../../../base/host/files.ts';
import { writeWhole } from '../../../base/host/write-whole.ts';
import { END_MARK, padding } from '../../../base/tar/block.ts';
import { exactly } from '../../../base/tar/exactly.ts';
import { encodePlainFile } from '../../../base/tar/header.ts';
import type { Image } from '../../model/types.ts';
import { familiarReference, parseReference } from '../../registry/config/reference.ts';
import { digestHex, ociDigest } from '../format/digest.ts';
import { type Descriptor, IMAGE_NAME, MEDIA, makeManifest, REF_NAME } from '../format/manifest.ts';
import type { ImageStore } from '../store.ts';

export interface SaveInput {
  readonly images: ReadonlyArray<{ readonly image: Image; readonly references: readonly string[] }>;
  readonly format: 'docker' | 'oci';
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes images as an OCI layout in a tar; for docker with a manifest.json too, as docker does since 25, so that one
 * archive loads everywhere. Layers are the original uncompressed tars, so ids and diff ids do not change. The manifest
 * is a new one, because the compressed blobs that a pulled manifest refers to are not kept.
 */
export const saveArchive = async (store: ImageStore, path: string, input: SaveInput): Promise<void> => {
  try {
    await writeWhole(members(store, input), path, { mode: 0o600, signal: input.signal });
  } catch (error) {
    const bytes = input.images.reduce((sum, { image }) => sum + image.size, 0);
    throw await explainDiskFull(diskError(error, path), { what: 'the archive needs about', bytes });
  }
};

async function* members(store: ImageStore, { images, format }: SaveInput): AsyncGenerator<Uint8Array> {
  const written = new Set<string>();
  const index: Array<Descriptor & { annotations?: Record<string, string> }> = [];
  const dockerList: object[] = [];
  for (const { image, references } of images) {
    const config = await store.readConfig(image.id);
    const sizes = await Promise.all(image.layers.map(async (diffId) => (await store.hasLayer(diffId))?.size ?? 0));
    for (const [at, diffId] of image.layers.entries()) {
      if (!written.has(diffId)) {
        written.add(diffId);
        yield* layerMember(store, diffId, sizes[at] ?? 0);
      }
    }
    const manifest = makeManifest({ config: { digest: image.id, size: config.length }, layers: image.layers, sizes });
    for (const data of [config, manifest]) {
      if (!written.has(ociDigest(data))) {
        written.add(ociDigest(data));
        yield smallMember(blobName(ociDigest(data)), data);
      }
    }
    const descriptor = { mediaType: MEDIA.ociManifest, digest: ociDigest(manifest), size: manifest.length };
    const names = references.filter((reference) => !reference.includes('@'));
    index.push(...(names.length === 0 ? [descriptor] : names.map((name) => ({ ...descriptor, annotations: annotate(name) }))));
    const tags = names.map((name) => familiarReference(parseReference(name)));
    dockerList.push({ Config: blobName(image.id), RepoTags: tags.length === 0 ? null : tags, Layers: image.layers.map(blobName) });
  }
  yield smallMember('index.json', json({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: index }));
  if (format === 'docker') {
    yield smallMember('manifest.json', json(dockerList));
  }
  yield smallMember('oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  yield END_MARK;
}

const annotate = (reference: string): Record<string, string> => ({
  [IMAGE_NAME]: reference,
  [REF_NAME]: parseReference(reference).tag ?? '',
});

async function* layerMember(store: ImageStore, diffId: string, size: number): AsyncGenerator<Uint8Array> {
  yield encodePlainFile(blobName(diffId), size);
  yield* exactly(store.originalLayer(diffId), size, () => new HyprError('IMAGE_CORRUPT', `the layer ${diffId} is not as long as it was`));
  yield Buffer.alloc(padding(size));
}

const smallMember = (name: string, data: Buffer): Buffer =>
  Buffer.concat([encodePlainFile(name, data.length), data, Buffer.alloc(padding(data.length))]);

const blobName = (digest: string): string => `blobs/sha256/${digestHex(digest)}`;
const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
