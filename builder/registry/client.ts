import { createHash } from 'node:crypto';
import { HyprError } from '../../base/errors.ts';
import { type Descriptor, MEDIA } from '../store/format/manifest.ts';
import type { Endpoint } from './config/settings.ts';
import { fetchBlob, type Get, type Resuming } from './fetch-blob.ts';
import { openAccess, type RepositoryOptions } from './transport/access.ts';
import { readLimited } from './transport/read-limited.ts';
import { refusal, wrongDigest } from './transport/refusal.ts';

export interface FetchedManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** One repository at one endpoint (distribution-spec "Pull"). Everything it returns was verified against its digest. */
export interface Repository {
  readonly endpoint: Endpoint;
  /** By tag or digest. Throws IMAGE_NOT_FOUND, REGISTRY_AUTH, REGISTRY_ERROR, IMAGE_CORRUPT. */
  manifest(tagOrDigest: string): Promise<FetchedManifest>;
  /** A small blob in one buffer. */
  smallBlob(descriptor: Descriptor, limit: number): Promise<Buffer>;
  /** Streams a blob; see fetchBlob. */
  blob(descriptor: Descriptor, onBytes: (bytes: number) => void, signal: AbortSignal, resuming?: Resuming): AsyncGenerator<Buffer>;
  tags(): Promise<string[]>;
}

/** The limit that docker has, too (distribution's manifests handler). */
export const MAX_MANIFEST = 4 * 1024 * 1024;
const ACCEPT = [MEDIA.ociIndex, MEDIA.dockerList, MEDIA.ociManifest, MEDIA.dockerManifest].join(', ');

export const openRepository = (options: RepositoryOptions): Repository => {
  const { endpoint } = options;
  const access = openAccess(options);
  const get: Get = (path, headers, signal) => access({ path, headers, signal });
  return {
    endpoint,
    manifest: (tagOrDigest) => fetchManifest(get, options, tagOrDigest),
    smallBlob: async (descriptor, limit) => {
      checkDescriptor(descriptor);
      if (descriptor.size > limit) {
        throw new HyprError('REGISTRY_ERROR', `the blob ${descriptor.digest} has ${descriptor.size} bytes`);
      }
      const chunks: Buffer[] = [];
      for await (const chunk of fetchBlob(get, options, { descriptor, onBytes: () => {}, signal: options.signal })) {
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    },
    blob: (descriptor, onBytes, signal, resuming) => {
      checkDescriptor(descriptor);
      return fetchBlob(get, options, { descriptor, onBytes, signal, ...resuming });
    },
    tags: async () => {
      const response = await get('tags/list?n=1000', {}, options.signal);
      const body = (await readLimited(response, MAX_MANIFEST)).toString('utf8');
      const { tags } = response.statusCode === 200 ? (JSON.parse(body) as { tags?: unknown }) : {};
      return Array.isArray(tags) ? tags.filter((tag): tag is string => typeof tag === 'string') : [];
    },
  };
};

const fetchManifest = async (get: Get, options: RepositoryOptions, tagOrDigest: string): Promise<FetchedManifest> => {
  const response = await get(`manifests/${tagOrDigest}`, { accept: ACCEPT }, options.signal);
  if (response.statusCode !== 200) {
    throw await refusal(response, { ...options, what: tagOrDigest });
  }
  const bytes = await readLimited(response, MAX_MANIFEST);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const isDigest = tagOrDigest.includes(':');
  if (isDigest && tagOrDigest !== digest) {
    throw wrongDigest(options, `the manifest ${tagOrDigest}`, digest);
  }
  const type = response.headers['content-type'];
  return { digest, bytes, mediaType: typeof type === 'string' ? (type.split(';')[0]?.trim() ?? '') : '' };
};

/** A digest becomes part of URLs and file names; a size is used only as a limit. */
const checkDescriptor = ({ digest, size }: Descriptor): void => {
  if (!/^sha256:[0-9a-f]{64}$/.test(digest) || !Number.isSafeInteger(size) || size < 0) {
    throw new HyprError('REGISTRY_ERROR', `a manifest names a blob ${JSON.stringify(digest)} of ${size} bytes`);
  }
};
