import { createHash, type Hash } from 'node:crypto';
import { sleep } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import type { Descriptor } from '../store/format/manifest.ts';
import type { RepositoryOptions } from './transport/access.ts';
import { type Response, TRIES } from './transport/http.ts';
import { refusal, wrongDigest } from './transport/refusal.ts';

export type Get = (path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Response>;

/** How a broken connection is resumed. */
export interface Resuming {
  /** False: start again without a Range header and skip what was received already. Default true. */
  readonly ranges?: boolean;
  /** Called before each retry. */
  readonly onResume?: () => void;
}

interface BlobJob extends Resuming {
  readonly descriptor: Descriptor;
  /** Called with the number of bytes received so far. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** What is known about the server's copy. */
interface Copy {
  /** Whether the server is worth asking for ranges. */
  ranges: boolean;
  /** A strong validator (RFC 9110 8.8.3). */
  etag: string | undefined;
}

/**
 * Streams a blob. A broken connection is resumed at the byte where it broke (RFC 9110 14.2, `Range`, with `If-Range` if
 * there is an ETag). If the answer starts at the beginning instead, what was received before is compared and skipped.
 * Gives up after four retries in a row that brought nothing. The digest of the whole blob is verified at the end. Throws
 * REGISTRY_UNREACHABLE, REGISTRY_ERROR, IMAGE_CORRUPT, IMAGE_NOT_FOUND, REGISTRY_AUTH.
 */
export async function* fetchBlob(get: Get, options: RepositoryOptions, job: BlobJob): AsyncGenerator<Buffer> {
  const { descriptor, onBytes, signal } = job;
  const hash = createHash('sha256');
  const copy: Copy = { ranges: job.ranges !== false, etag: undefined };
  let position = 0;
  let failures = 0;
  do {
    const before = position;
    let cause: unknown;
    try {
      for await (const chunk of requestFrom(get, options, { descriptor, position, had: hash.copy(), copy, signal })) {
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
      job.onResume?.();
    }
  } while (position < descriptor.size);
  const digest = `sha256:${hash.digest('hex')}`;
  if (digest !== descriptor.digest) {
    throw wrongDigest(options, `the blob ${descriptor.digest}`, digest);
  }
}

/** Only a broken connection is worth a retry. */
const throwIfFinal = (error: unknown, signal: AbortSignal): void => {
  signal.throwIfAborted();
  if (error instanceof HyprError) {
    throw error;
  }
};

interface Part {
  readonly descriptor: Descriptor;
  readonly position: number;
  /** Hash of the bytes before the position. */
  readonly had: Hash;
  readonly copy: Copy;
  readonly signal: AbortSignal;
}

/** The bytes of a blob from a position on. Works with servers that do not support ranges, or only claim to. */
async function* requestFrom(get: Get, options: RepositoryOptions, part: Part): AsyncGenerator<Buffer> {
  const { descriptor, position, copy, signal } = part;
  const isPart = position > 0 && copy.ranges;
  const condition = copy.etag === undefined ? {} : { 'if-range': copy.etag };
  const headers = isPart ? { range: `bytes=${position}-`, ...condition } : {};
  const response = await get(`blobs/${descriptor.digest}`, { ...headers, 'accept-encoding': 'identity' }, signal);
  try {
    const start = startOf(response, part);
    if (start !== undefined) {
      yield* from(response, options, { ...part, start });
      return;
    }
    if (!isPart) {
      throw response.statusCode === 206 ? wrongPart(options, position) : await refusal(response, { ...options, what: descriptor.digest });
    }
    if (response.statusCode !== 206 && response.statusCode !== 416) {
      throw await refusal(response, { ...options, what: descriptor.digest });
    }
  } finally {
    response.body.on('error', () => {}).destroy();
  }
  // The answer is another part, or a part of another copy: start again without ranges.
  copy.ranges = false;
  yield* requestFrom(get, options, part);
}

/** The offset at which an answer begins (RFC 9110 14.4); undefined when the answer is of no use. */
const startOf = ({ statusCode, headers }: Response, { descriptor, position, copy }: Part): number | undefined => {
  const etag = typeof headers.etag === 'string' && /^"[^"]*"$/.test(headers.etag) ? headers.etag : undefined;
  if (statusCode === 200) {
    copy.etag = etag;
    return 0;
  }
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(headers['content-range'])) ?? [];
  const fits = Number(start) <= position && (total === '*' || Number(total) === descriptor.size);
  return statusCode === 206 && fits && (etag === undefined || copy.etag === undefined || etag === copy.etag) ? Number(start) : undefined;
};

async function* from(response: Response, options: RepositoryOptions, part: Part & { readonly start: number }): AsyncGenerator<Buffer> {
  const { descriptor, position, start, had } = part;
  const length = response.headers['content-length'];
  if (response.statusCode === 200 && length !== undefined && Number(length) !== descriptor.size) {
    throw wrongDigest(options, `the blob ${descriptor.digest} of ${descriptor.size} bytes`, `${Number(length)} bytes`);
  }
  const skipped = start === 0 && position > 0 ? createHash('sha256') : undefined;
  let skip = position - start;
  for await (const piece of response.body) {
    const chunk = piece as Buffer;
    const rest = chunk.subarray(Math.min(skip, chunk.length));
    if (skip > 0) {
      skip -= chunk.length - rest.length;
      skipped?.update(chunk.subarray(0, chunk.length - rest.length));
      if (skip === 0 && skipped !== undefined && skipped.digest('hex') !== had.digest('hex')) {
        throw wrongDigest(options, `the blob ${descriptor.digest}`, 'other bytes after the connection broke than before');
      }
    }
    if (rest.length > 0) {
      yield rest;
    }
  }
}

const wrongPart = ({ endpoint }: RepositoryOptions, position: number): HyprError =>
  new HyprError('REGISTRY_ERROR', `${new URL(endpoint.url).host} answered a request for bytes from ${position} with others`);

const brokenOff = ({ endpoint }: RepositoryOptions, position: number, descriptor: Descriptor, cause: unknown): HyprError =>
  new HyprError(
    'REGISTRY_UNREACHABLE',
    `the connection to ${new URL(endpoint.url).host} broke off after ${position} of ${descriptor.size} bytes, again and again`,
    {
      hint: 'pull again: layers that are complete are not fetched twice',
      cause,
    },
  );
