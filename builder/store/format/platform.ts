import { HyprError } from '../../../base/errors.ts';
import { asObject, type Json, type ParsedConfig, parseObject, text } from './image-config.ts';
import { type Descriptor, MEDIA } from './manifest.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string | undefined;
}

const ALIASES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  armhf: 'arm',
  i386: '386',
  i686: '386',
};
const DEFAULT = 'linux/amd64';

/** Parses `os/arch[/variant]`, forms without `os` and docker's aliases; default linux/amd64. Throws IMAGE_PLATFORM. */
export const parsePlatform = (value: string = DEFAULT): Platform => {
  const parts = value.toLowerCase().split('/');
  const [os, architecture, variant] = parts.length === 1 ? ['linux', parts[0]] : parts;
  if (!os || !architecture || parts.length > 3 || parts.some((part) => !/^[\w.-]+$/.test(part))) {
    throw new HyprError('IMAGE_PLATFORM', `${JSON.stringify(value)} is not a platform`, { hint: 'write it as linux/amd64' });
  }
  return { os, architecture: ALIASES[architecture] ?? architecture, variant };
};

export const formatPlatform = ({ os, architecture, variant }: Platform): string => [os, architecture, variant].filter(Boolean).join('/');

/** Whether an image's platform fits the requested one; a missing variant fits every variant. */
export const fitsPlatform = (have: string, want: Platform): boolean => {
  const found = parsePlatform(have);
  const variantFits = found.variant === undefined || want.variant === undefined || found.variant === want.variant;
  return found.os === want.os && found.architecture === want.architecture && variantFits;
};

export const isIndex = (mediaType: string, json: Json): boolean =>
  mediaType === MEDIA.ociIndex || mediaType === MEDIA.dockerList || (Array.isArray(json.manifests) && json.config === undefined);

/**
 * The manifest of an index (image-spec image-index.md) for a platform: the first one that fits, because an index is in
 * order of preference. Throws IMAGE_PLATFORM, which names the platforms there are.
 */
export const chooseManifest = (index: Json, want: Platform, name: string): Descriptor => {
  const entries = (Array.isArray(index.manifests) ? index.manifests : []).map(asObject);
  const platforms = entries.map((entry) => asObject(entry.platform));
  const matches = entries.filter((_, at) => {
    const { os, architecture, variant } = platforms[at] ?? {};
    const variantFits = want.variant === undefined || variant === undefined || variant === '' || variant === want.variant;
    return os === want.os && architecture === want.architecture && variantFits;
  });
  // The platform is optional in an index with a single image.
  const found = matches[0] ?? (entries.length === 1 && platforms[0]?.os === undefined ? entries[0] : undefined);
  if (found === undefined) {
    const there = platforms.flatMap(({ os, architecture, variant }) =>
      os === undefined || os === 'unknown' ? [] : [[os, architecture, variant].filter(Boolean).join('/')],
    );
    throw new HyprError('IMAGE_PLATFORM', `${name} does not exist for ${formatPlatform(want)}`, {
      hint: there.length === 0 ? 'its index is empty' : `it exists for ${[...new Set(there)].join(', ')}`,
    });
  }
  return toDescriptor(found);
};

export interface ImageManifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

const MAX_LAYERS = 512;

/** Parses an OCI or Docker schema 2 image manifest. Throws IMAGE_CORRUPT, or REGISTRY_ERROR for something that is not an image. */
export const parseManifest = (bytes: Uint8Array, name: string): ImageManifest => {
  const json = parseObject(bytes);
  if (json.schemaVersion === 1) {
    throw new HyprError('REGISTRY_ERROR', `${name} is an image of the old format "schema 1"`, {
      hint: 'push it again with a docker of this decade',
    });
  }
  const layers = Array.isArray(json.layers) ? json.layers : undefined;
  if (layers === undefined || json.config === undefined || layers.length > MAX_LAYERS) {
    throw new HyprError('REGISTRY_ERROR', `${name} is not an image (${text(json.artifactType) ?? text(json.mediaType) ?? 'unknown type'})`);
  }
  return { config: toDescriptor(asObject(json.config)), layers: layers.map((layer) => toDescriptor(asObject(layer))) };
};

/** Checks that a config belongs to this manifest and this platform. Throws IMAGE_CORRUPT, IMAGE_PLATFORM. */
export const checkConfig = (
  config: ParsedConfig,
  { manifest, want, name }: { manifest: ImageManifest; want: Platform; name: string },
): ParsedConfig => {
  if (config.diffIds.length !== manifest.layers.length) {
    throw new HyprError('IMAGE_CORRUPT', `${name} has ${manifest.layers.length} layers and a config for ${config.diffIds.length}`);
  }
  if (!fitsPlatform(config.platform, want)) {
    throw new HyprError('IMAGE_PLATFORM', `${name} does not exist for ${formatPlatform(want)}`, {
      hint: `it is an image for ${config.platform}`,
    });
  }
  return config;
};

const toDescriptor = (json: Json): Descriptor => ({
  mediaType: text(json.mediaType) ?? '',
  digest: text(json.digest) ?? '',
  size: typeof json.size === 'number' ? json.size : -1,
});
