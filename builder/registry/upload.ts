import type { Readable } from 'node:stream';
import { sleep } from '../../base/deadline.ts';
import { HyprError, isAbort } from '../../base/errors.ts';
import type { Access, RepositoryOptions } from './transport/access.ts';
import { type Response, retryAfter, TRIES } from './transport/http.ts';
import { refusal } from './transport/refusal.ts';

/** A blob that can be read from any offset, any number of times. */
export interface BlobSource {
  readonly digest: string;
  readonly size: number;
  open(from: number): Readable;
}

export interface UploadJob {
  readonly blob: BlobSource;
  /** Repositories of the same registry to mount the blob from, tried before it is sent. */
  readonly mountFrom?: readonly string[];
  /** Called with the number of bytes sent. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal: AbortSignal;
}

export type UploadResult = { readonly how: 'exists' | 'sent' } | { readonly how: 'mounted'; readonly from: string };

/**
 * Pushes a blob to a repository (distribution-spec "Push"). Nothing is sent if the repository has the blob or can mount
 * it. A broken upload is resumed at the offset that the registry reports; one that the registry has forgotten starts
 * again (distribution 2.8 forgets an upload whose request broke). Throws REGISTRY_AUTH, REGISTRY_ERROR,
 * REGISTRY_UNREACHABLE.
 */
export const uploadBlob = async (access: Access, options: RepositoryOptions, job: UploadJob): Promise<UploadResult> => {
  if (await hasBlob(access, options, job.blob.digest)) {
    return { how: 'exists' };
  }
  for (const from of job.mountFrom ?? []) {
    if (await mountBlob(access, options, { digest: job.blob.digest, from })) {
      return { how: 'mounted', from };
    }
  }
  await sendBlob(access, options, job);
  return { how: 'sent' };
};

export const hasBlob = async (access: Access, options: RepositoryOptions, digest: string): Promise<boolean> => {
  const response = await access({ path: `blobs/${digest}`, method: 'HEAD', signal: options.signal });
  if (response.statusCode === 200 || response.statusCode === 404) {
    await response.body.dump();
    return response.statusCode === 200;
  }
  throw await refusal(response, { ...options, what: digest });
};

/** Mounts the blob from another repository of the same registry; false if the registry does not do that. */
export const mountBlob = async (
  access: Access,
  options: RepositoryOptions,
  { digest, from }: { digest: string; from: string },
): Promise<boolean> => {
  const query = new URLSearchParams({ mount: digest, from });
  const response = await access({ path: `blobs/uploads/?${query}`, method: 'POST', signal: options.signal });
  await response.body.dump();
  if (response.statusCode === 202) {
    // The registry started an upload instead, which is not needed.
    await abandon(access, response, options.signal);
  }
  return response.statusCode === 201;
};

const abandon = async (access: Access, response: Response, signal: AbortSignal): Promise<void> => {
  const { location } = response.headers;
  if (typeof location === 'string') {
    const answer = await access({ path: location, method: 'DELETE', repeat: false, signal }).catch(() => undefined);
    await answer?.body.dump().catch(() => {});
  }
};

/** Where an upload stands. */
interface Upload {
  location: string;
  position: number;
}

const sendBlob = async (access: Access, options: RepositoryOptions, job: UploadJob): Promise<void> => {
  let upload = await begin(access, options, job.signal);
  let best = 0;
  for (let failures = 0; ; ) {
    const failure = await attempt(access, options, { upload, job });
    if (failure === undefined) {
      return;
    }
    const wait = failure.wait ?? options.http.backoff(failures + 1);
    const found = failure.isSpoilt ? undefined : await standing(access, upload, job.signal);
    // If nothing was kept, a new upload is safer: the registry may still be handling the broken request.
    const next = found?.position === 0 ? undefined : found;
    failures = next !== undefined && next.position > best ? 1 : failures + 1;
    best = Math.max(best, next?.position ?? 0);
    if (failures >= TRIES) {
      throw failure.error;
    }
    await sleep(wait, job.signal);
    upload = next ?? (await begin(access, options, job.signal));
  }
};

const begin = async (access: Access, options: RepositoryOptions, signal: AbortSignal): Promise<Upload> => {
  const response = await access({ path: 'blobs/uploads/', method: 'POST', headers: { 'content-length': '0' }, signal });
  const { location } = response.headers;
  if (response.statusCode !== 202 || typeof location !== 'string') {
    throw await refusal(response, { ...options, what: 'an upload' });
  }
  await response.body.dump();
  return { location, position: 0 };
};

interface Failure {
  readonly error: unknown;
  /** Milliseconds, from the registry's Retry-After. */
  readonly wait: number | undefined;
  /** The uploaded parts do not add up to the blob, so there is no point in continuing with them. */
  readonly isSpoilt?: boolean;
}

/** Statuses worth a retry; 404 and 416 because the registry forgot the upload or has another part of it. */
const AGAIN = new Set([404, 408, 416, 429, 500, 502, 503, 504]);

/** Sends the rest and closes the upload; undefined when the registry has the blob. */
const attempt = async (
  access: Access,
  options: RepositoryOptions,
  { upload, job }: { upload: Upload; job: UploadJob },
): Promise<Failure | undefined> => {
  const { blob, signal } = job;
  for (const step of upload.position < blob.size ? (['send', 'close'] as const) : (['close'] as const)) {
    let response: Response;
    try {
      response = await (step === 'send' ? sendRest(access, upload, job) : close(access, upload, job));
    } catch (error) {
      signal.throwIfAborted();
      if (isAbort(error) || (error instanceof HyprError && error.code !== 'REGISTRY_UNREACHABLE')) {
        throw error;
      }
      return { error, wait: undefined };
    }
    if (response.statusCode < 200 || response.statusCode > 299) {
      const wait = retryAfter(response);
      const error = await refusal(response, { ...options, what: blob.digest });
      const isSpoilt = response.statusCode === 400 && upload.position > 0;
      if (isSpoilt || AGAIN.has(response.statusCode)) {
        return { error, wait, isSpoilt };
      }
      throw error;
    }
    await response.body.dump();
    const { location } = response.headers;
    upload.location = step === 'send' && typeof location === 'string' ? location : upload.location;
  }
  return undefined;
};

/** Sends all that is left in one PATCH, as docker does; Content-Range only when it is not the whole blob. */
const sendRest = async (access: Access, upload: Upload, { blob, onBytes, signal }: UploadJob): Promise<Response> => {
  const from = upload.position;
  const range = from === 0 ? {} : { 'content-range': `${from}-${blob.size - 1}` };
  const headers = { 'content-type': 'application/octet-stream', 'content-length': String(blob.size - from), ...range };
  const opened: Readable[] = [];
  const body = () => {
    const stream = blob.open(from);
    opened.push(stream);
    let sent = from;
    // The request handles errors itself; this listener keeps a later error of the stream from ending the process.
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => {
      sent += chunk.length;
      onBytes?.(sent);
    });
    stream.pause();
    return stream;
  };
  try {
    return await access({ path: upload.location, method: 'PATCH', headers, body, repeat: false, signal });
  } finally {
    for (const stream of opened) {
      stream.destroy();
    }
  }
};

const close = (access: Access, upload: Upload, { blob, signal }: UploadJob): Promise<Response> => {
  const mark = upload.location.includes('?') ? '&' : '?';
  const path = `${upload.location}${mark}digest=${encodeURIComponent(blob.digest)}`;
  return access({ path, method: 'PUT', headers: { 'content-length': '0' }, repeat: false, signal });
};

/** How much of an upload the registry has; undefined when it has forgotten the upload. */
const standing = async (access: Access, upload: Upload, signal: AbortSignal): Promise<Upload | undefined> => {
  const response = await access({ path: upload.location, signal });
  await response.body.dump();
  const [, last] = /^(?:bytes=)?0-(\d+)$/.exec(String(response.headers.range)) ?? [];
  const { location } = response.headers;
  if (response.statusCode < 200 || response.statusCode > 299 || last === undefined) {
    return undefined;
  }
  // Registries report an empty upload as "0-0", too.
  return { location: typeof location === 'string' ? location : upload.location, position: last === '0' ? 0 : Number(last) + 1 };
};
