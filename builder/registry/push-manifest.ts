import { parseObject } from '../store/format/image-config.ts';
import { type Descriptor, MEDIA } from '../store/format/manifest.ts';

/** A layer as it is in the registry. */
export interface PushedLayer {
  readonly digest: string;
  readonly size: number;
}

export interface PushedManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
  /** The image's original manifest refers to another blob for this layer. */
  readonly isForeign: boolean;
}

const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';
const OCI_LAYER = `${MEDIA.ociLayer}+gzip`;

/**
 * The manifest for layers as they are in the registry: the exact original if it refers to the same blobs, otherwise the
 * original with its layers replaced, in the same format.
 */
export const pushManifestFor = (input: {
  original: Buffer;
  config: { digest: string; size: number };
  layers: readonly PushedLayer[];
}): PushedManifest => {
  const json = parseObject(input.original);
  const before = Array.isArray(json.layers) ? (json.layers as readonly Partial<Descriptor>[]) : [];
  const isDocker = json.mediaType === MEDIA.dockerManifest;
  const mediaType = isDocker ? MEDIA.dockerManifest : MEDIA.ociManifest;
  if (input.layers.length === before.length && input.layers.every(({ digest }, index) => digest === before[index]?.digest)) {
    return { bytes: input.original, mediaType, isForeign: false };
  }
  const layers = input.layers.map(({ digest, size }, index) =>
    before[index]?.digest === digest ? before[index] : { mediaType: isDocker ? DOCKER_LAYER : OCI_LAYER, digest, size },
  );
  const isForeign = before.some(({ mediaType: type }) => type !== MEDIA.ociLayer);
  return { bytes: Buffer.from(JSON.stringify({ ...json, mediaType, layers })), mediaType, isForeign };
};
