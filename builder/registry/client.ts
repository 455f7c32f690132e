import { createHash } from 'node:crypto';
import { sleep } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { type Descriptor, MEDIA } from '../store/manifest.ts';
import { openAccess, type RepositoryOptions } from './access.ts';
import { type Response, TRIES } from './http.ts';
import { readLimited } from './read-limited.ts';
import { repositoryName } from './reference.ts';
import { refusal } from './refusal.ts';
import type { Endpoint } from './settings.ts';

export interface FetchedManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** One repository at one endpoint (distribution-spec "Pull"). Everything it gives was checked against its digest. */
export interface Repository {
  readonly endpoint: Endpoint;
  /** By tag or digest. Throws IMAGE_NOT_FOUND, REGISTRY_AUTH, REGISTRY_ERROR, IMAGE_CORRUPT. */
  manifest(tagOrDigest: string): Promise<FetchedManifest>;
  /** A small blob in one piece. */
  smallBlob(descriptor: Descriptor, limit: number): Promise<Buffer>;
  /** A blob as it comes; a broken connection is taken up again where it broke. The digest is checked at the end. */
  blob(descriptor: Descriptor, onBytes: (bytes: number) => void, signal: AbortSignal): AsyncGenerator<Buffer>;
  tags(): Promise<string[]>;
}

/** docker's limit, too (distribution's manifests handler). */
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
    blob: (descriptor, onBytes, signal) => {
      checkDescriptor(descriptor);
      return fetchBlob(get, options, { descriptor, onBytes, signal });
    },
    tags: async () => {
      const response = await get('tags/list?n=1000', {}, options.signal);
      const body = (await readLimited(response, MAX_MANIFEST)).toString('utf8');
      const { tags } = response.statusCode === 200 ? (JSON.parse(body) as { tags?: unknown }) : {};
      return Array.isArray(tags) ? tags.filter((tag): tag is string => typeof tag === 'string') : [];
    },
  };
};

type Get = (path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Response>;

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

interface BlobJob {
  readonly descriptor: Descriptor;
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

async function* fetchBlob(get: Get, options: RepositoryOptions, { descriptor, onBytes, signal }: BlobJob): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let position = 0;
  let failures = 0;
  do {
    const before = position;
    let cause: unknown;
    try {
      for await (const chunk of requestFrom(get, options, { descriptor, position, signal })) {
        position += chunk.length;
        if (position > descriptor.size) {
          throw wrongDigest(options, `the blob ${descriptor.digest} of ${descriptor.size} bytes`, 'more bytes');
        }
        hash.update(chunk);
        onBytes(position);
        yield chunk;
      }
    } catch (error) {
      throwIfFinal(error, signal);
      cause = error;
    }
    if (position < descriptor.size) {
      failures = position > before ? 1 : failures + 1;
      if (failures >= TRIES) {
        throw brokenOff(options, position, descriptor, cause);
      }
      await sleep(options.http.backoff(failures), signal);
    }
  } while (position < descriptor.size);
  const digest = `sha256:${hash.digest('hex')}`;
  if (digest !== descriptor.digest || position !== descriptor.size) {
    throw wrongDigest(options, `the blob ${descriptor.digest}`, digest);
  }
}

/** Only a connection that broke is worth another try. */
const throwIfFinal = (error: unknown, signal: AbortSignal): void => {
  signal.throwIfAborted();
  if (error instanceof HyprError) {
    throw error;
  }
};

/** The bytes of a blob from a position on, also from a server that knows no ranges. */
async function* requestFrom(
  get: Get,
  options: RepositoryOptions,
  { descriptor, position, signal }: { descriptor: Descriptor; position: number; signal: AbortSignal },
): AsyncGenerator<Buffer> {
  const headers = position > 0 ? { range: `bytes=${position}-` } : {};
  const response = await get(`blobs/${descriptor.digest}`, { ...headers, 'accept-encoding': 'identity' }, signal);
  try {
    if (response.statusCode !== 200 && response.statusCode !== 206) {
      throw await refusal(response, { ...options, what: descriptor.digest });
    }
    const start = response.statusCode === 206 ? Number(/^bytes (\d+)-/.exec(String(response.headers['content-range']))?.[1]) : 0;
    if (!(start <= position)) {
      throw new HyprError(
        'REGISTRY_ERROR',
        `${new URL(options.endpoint.url).host} answered a request for bytes from ${position} with others`,
      );
    }
    let skip = position - start;
    for await (const piece of response.body) {
      const chunk = piece as Buffer;
      const rest = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - rest.length;
      if (rest.length > 0) {
        yield rest;
      }
    }
  } finally {
    response.body.destroy();
  }
}

/** A digest becomes part of URLs and file names; a size is believed only as a limit. */
const checkDescriptor = ({ digest, size }: Descriptor): void => {
  if (!/^sha256:[0-9a-f]{64}$/.test(digest) || !Number.isSafeInteger(size) || size < 0) {
    throw new HyprError('REGISTRY_ERROR', `a manifest names a blob ${JSON.stringify(digest)} of ${size} bytes`);
  }
};

const wrongDigest = ({ endpoint, reference }: RepositoryOptions, what: string, found: string): HyprError =>
  new HyprError('IMAGE_CORRUPT', `${what} of ${repositoryName(reference)} came from ${new URL(endpoint.url).host} as ${found}`, {
    hint: 'pull again; if it stays so, a proxy or mirror on the way changes what it passes on',
  });

const brokenOff = ({ endpoint }: RepositoryOptions, position: number, descriptor: Descriptor, cause: unknown): HyprError =>
  new HyprError(
    'REGISTRY_UNREACHABLE',
    `the connection to ${new URL(endpoint.url).host} broke off after ${position} of ${descriptor.size} bytes, again and again`,
    {
      hint: 'pull again: layers that are complete are not fetched twice',
      cause,
    },
  );
