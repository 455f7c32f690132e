import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError } from './errors.ts';

/** What comes with a request. */
export interface Body {
  /** Whether anything may come. */
  readonly isEmpty: boolean;
  readonly bytes: AsyncIterable<Uint8Array>;
  /** An object; an empty one where nothing came. Throws 400, 413. */
  json(): Promise<Readonly<Record<string, unknown>>>;
}

export const hasNoBody = ({ headers }: Pick<IncomingMessage, 'headers'>): boolean =>
  headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;

/** The largest JSON that is read. */
const MAX_JSON = 4 << 20;

export const bodyOf = (request: IncomingMessage, bytes: AsyncIterable<Uint8Array> = request): Body => ({
  isEmpty: hasNoBody(request),
  bytes,
  json: async () => {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of bytes) {
      size += part.length;
      if (size > MAX_JSON) {
        throw new ApiError(413, 'the body is too large');
      }
      parts.push(part);
    }
    return parseObject(Buffer.concat(parts).toString('utf8'));
  },
});

const parseObject = (text: string): Readonly<Record<string, unknown>> => {
  if (text.trim() === '') {
    return {};
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
    return value === null ? {} : fail('the body has to be an object');
  } catch (error) {
    throw error instanceof ApiError ? error : new ApiError(400, `invalid JSON: ${(error as Error).message}`);
  }
};

const fail = (message: string): never => {
  throw new ApiError(400, message);
};

/**
 * The body of a request that asked to take its connection over: Node reads none there, and it comes before whatever else the client sends.
 * Afterwards the rest is in the socket again. `head` is what Node had read already; the end of an empty body in chunks is no data of the
 * connection. Rejects when the body is cut off or too large.
 */
export const bodyBeforeUpgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<Buffer> => {
  const wanted = Number(request.headers['content-length'] ?? 0);
  if (!(wanted <= MAX_JSON)) {
    throw new ApiError(413, 'the body is too large');
  }
  const isChunked = request.headers['transfer-encoding']?.toLowerCase() === 'chunked';
  let read = isChunked && head.subarray(0, NO_CHUNKS.length).equals(NO_CHUNKS) ? head.subarray(NO_CHUNKS.length) : head;
  while (read.length < wanted) {
    read = Buffer.concat([read, await nextPart(socket)]);
  }
  if (read.length > wanted) {
    socket.unshift(read.subarray(wanted));
  }
  return read.subarray(0, wanted);
};

/** What a client sends that has said `Transfer-Encoding: chunked` and has no body (dockerode, for its session of BuildKit). */
const NO_CHUNKS = Buffer.from('0\r\n\r\n');

/** The socket is paused again afterwards, so that nothing is lost until its next reader comes. */
const nextPart = (socket: Duplex): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const settle = (part: Buffer | undefined): void => {
      socket.pause();
      socket.off('data', settle).off('end', gone).off('close', gone);
      part === undefined ? reject(new ApiError(400, 'the body is cut off')) : resolve(part);
    };
    const gone = (): void => settle(undefined);
    if (socket.readableEnded || socket.destroyed) {
      gone();
      return;
    }
    socket.on('data', settle).once('end', gone).once('close', gone);
    socket.resume();
  });
