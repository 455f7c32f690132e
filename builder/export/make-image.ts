import { type Annotations, annotationsField } from '../options/annotations.ts';
import type { ImageForm } from '../options/parse-output.ts';
import type { ImageConfigBlob } from '../solver/frame/store.ts';
import { ociDigest } from '../store/format/digest.ts';
import { type Descriptor, MEDIA } from '../store/format/manifest.ts';
import { type Blob, type LayerBlobs, memoryBlob } from './compress-layer.ts';

/** An image as blobs, for a layout, an archive or a registry. */
export interface ImageBundle {
  readonly config: Blob;
  readonly layers: readonly Blob[];
  readonly manifest: Blob;
  /** Present if there are attestations, or annotations of the index. */
  readonly index: Blob | undefined;
  /** Further blobs that the index refers to, manifests last. */
  readonly extras: readonly Blob[];
  /** The descriptor of the index if there is one, else of the manifest, with its annotations. */
  readonly top: Descriptor & { readonly annotations?: Readonly<Record<string, string>> };
}

const DOCKER = {
  config: 'application/vnd.docker.container.image.v1+json',
  layer: { '': 'application/vnd.docker.image.rootfs.diff.tar', '+gzip': 'application/vnd.docker.image.rootfs.diff.tar.gzip' },
} as const;

/** Manifest and blobs of an image (image-spec manifest.md, image-index.md). `config`: its exact bytes. */
export const makeImage = async (input: {
  readonly config: Buffer;
  readonly layers: readonly string[];
  readonly form: ImageForm;
  readonly blobs: LayerBlobs;
  /** Attestation of the manifest: its blobs, its own manifest last. */
  readonly attest?: (manifest: Descriptor) => readonly Blob[];
  readonly platform: ImageConfigBlob;
  /** Makes an index even if it holds a single manifest. */
  readonly withIndex?: boolean;
}): Promise<ImageBundle> => {
  const { form, blobs } = input;
  const layers: Blob[] = [];
  for (const diffId of input.layers) {
    // One at a time: compressing one layer already uses all cores that a build has.
    layers.push(asForm(await blobs.get(diffId, form.compression), form));
  }
  const configType = form.ociTypes ? MEDIA.ociConfig : DOCKER.config;
  const config = jsonBlob(configType, input.config);
  const manifest = jsonBlob(
    form.ociTypes ? MEDIA.ociManifest : MEDIA.dockerManifest,
    encode({
      schemaVersion: 2,
      mediaType: form.ociTypes ? MEDIA.ociManifest : MEDIA.dockerManifest,
      config: config.descriptor,
      layers: layers.map(({ descriptor }) => descriptor),
      ...annotationsField(form.annotations.manifest),
    }),
  );
  const extras = input.attest?.(manifest.descriptor) ?? [];
  const index = makeIndex({ manifest: manifest.descriptor, extras, form, platform: input.platform, always: input.withIndex ?? false });
  const descriptor = (index ?? manifest).descriptor;
  const own = topAnnotations(form.annotations, index !== undefined);
  return { config, layers, manifest, index, extras, top: { ...descriptor, ...annotationsField(own) } };
};

const topAnnotations = (annotations: Annotations, isIndex: boolean): Readonly<Record<string, string>> =>
  isIndex ? annotations['index-descriptor'] : { ...annotations['manifest-descriptor'], ...annotations['index-descriptor'] };

/** An index only if it is needed: for attestations, or annotations of an index. */
const makeIndex = (input: {
  readonly manifest: Descriptor;
  readonly extras: readonly Blob[];
  readonly form: ImageForm;
  readonly platform: ImageConfigBlob;
  readonly always: boolean;
}): Blob | undefined => {
  const { manifest, extras, form, platform } = input;
  if (!input.always && extras.length === 0 && Object.keys(form.annotations.index).length === 0) {
    return undefined;
  }
  const { os, architecture, variant } = platform;
  const described = {
    ...manifest,
    ...annotationsField(form.annotations['manifest-descriptor']),
    platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
  };
  const attestation = extras.at(-1)?.descriptor;
  const second = attestation && {
    ...attestation,
    annotations: { 'vnd.docker.reference.digest': manifest.digest, 'vnd.docker.reference.type': 'attestation-manifest' },
    platform: { architecture: 'unknown', os: 'unknown' },
  };
  const mediaType = form.ociTypes ? MEDIA.ociIndex : MEDIA.dockerList;
  const manifests = [described, ...(second === undefined ? [] : [second])];
  return jsonBlob(mediaType, encode({ schemaVersion: 2, mediaType, manifests, ...annotationsField(form.annotations.index) }));
};

/** Docker's media types if they are requested; Docker has none for zstd, which keeps OCI's, as in BuildKit. */
const asForm = (blob: Blob, form: ImageForm): Blob => {
  const suffix = blob.descriptor.mediaType.slice(MEDIA.ociLayer.length);
  if (form.ociTypes || (suffix !== '' && suffix !== '+gzip')) {
    return blob;
  }
  return { ...blob, descriptor: { ...blob.descriptor, mediaType: DOCKER.layer[suffix] } };
};

/** A document in memory, under its own digest. */
export const jsonBlob = (mediaType: string, data: Buffer): Blob =>
  memoryBlob({ mediaType, digest: ociDigest(data), size: data.length }, data);

export const encode = (value: object): Buffer => Buffer.from(JSON.stringify(value));
