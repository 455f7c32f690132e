import { createHash, type Hash } from 'node:crypto';
import { sleep } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import type { Descriptor } from '../store/format/manifest.ts';
import type { RepositoryOptions } from './transport/access.ts';
import { type Response, TRIES } from './transport/http.ts';
import { refusal, wrongDigest } from './transport/refusal.ts';

export type Get = (path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Response>;

/** How a connection that broke is taken up. */
export interface Resuming {
  /** False: from the beginning, without asking for a range; what was had is skipped. Default true. */
  readonly ranges?: boolean;
  /** Told before each time. */
  readonly onResume?: () => void;
}

interface BlobJob extends Resuming {
  readonly descriptor: Descriptor;
  /** Bytes that came so far. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** What is known of the server's copy. */
interface Copy {
  /** Whether ranges are worth asking for. */
  ranges: boolean;
  /** A strong validator (RFC 9110 8.8.3). */
  etag: string | undefined;
}

/**
 * A blob as it comes. A connection that broke is taken up at the byte where it broke (RFC 9110 14.2, `Range`, with
 * `If-Range` where there is an ETag); of an answer from the beginning, what was had is compared and skipped. After a break and four
 * tries in a row that brought nothing it is given up. The digest over all bytes is checked at the end. Throws REGISTRY_UNREACHABLE,
 * REGISTRY_ERROR, IMAGE_CORRUPT, IMAGE_NOT_FOUND, REGISTRY_AUTH.
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

/** Only a connection that broke is worth another try. */
const throwIfFinal = (error: unknown, signal: AbortSignal): void => {
  signal.throwIfAborted();
  if (error instanceof HyprError) {
    throw error;
  }
};

interface Part {
  readonly descriptor: Descriptor;
  readonly position: number;
  /** Of the bytes before the position. */
  readonly had: Hash;
  readonly copy: Copy;
  readonly signal: AbortSignal;
}

/** The bytes of a blob from a position on, also from a server that knows no ranges, or only says so. */
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
  // Another part than was asked for, or of another copy: from the beginning.
  copy.ranges = false;
  yield* requestFrom(get, options, part);
}

/** Which byte an answer begins with (RFC 9110 14.4); undefined when it is no use. */
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
