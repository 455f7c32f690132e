/** A content descriptor (image-spec descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export const MEDIA = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const;

/** Annotations of an image in an index: its whole name (containerd), and its tag or whatever its writer calls it (image-spec annotations.md). */
export const IMAGE_NAME = 'io.containerd.image.name';
export const REF_NAME = 'org.opencontainers.image.ref.name';

/** Makes an OCI manifest (image-spec manifest.md) for uncompressed layers, whose digests are their diff ids. */
export const makeManifest = (input: {
  config: { digest: string; size: number };
  layers: readonly string[];
  sizes: readonly number[];
}): Buffer =>
  Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: { mediaType: MEDIA.ociConfig, ...input.config },
      layers: input.layers.map((digest, index): Descriptor => ({ mediaType: MEDIA.ociLayer, digest, size: input.sizes[index] ?? 0 })),
    }),
  );
