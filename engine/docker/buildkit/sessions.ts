import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { ApiError } from '../http/errors.ts';
import { FileSync } from './gen/filesync_pb.ts';
import { Secrets } from './gen/secrets_pb.ts';
import { Upload } from './gen/upload_pb.ts';

/** Sessions of one user at a time; each build has one. */
const MOST_SESSIONS = 256;
/** A client opens its session beside its build. */
const APPEARS_MS = 30_000;

/** Metadata of a call; a key may have several values. */
export type Metadata = Readonly<Record<string, readonly string[]>>;

/** A client of a build that serves its folders, secrets and input to the build: gRPC on the connection that it made. */
export class Session {
  readonly #connection: http2.ClientHttp2Session;

  constructor(connection: Duplex) {
    this.#connection = http2.connect('http://session', { createConnection: () => connection });
    this.#connection.on('error', () => connection.destroy());
  }

  files(metadata: Metadata): Client<typeof FileSync> {
    return createClient(FileSync, this.#transport(metadata));
  }

  get secrets(): Client<typeof Secrets> {
    return createClient(Secrets, this.#transport({}));
  }

  upload(metadata: Metadata): Client<typeof Upload> {
    return createClient(Upload, this.#transport(metadata));
  }

  close(): void {
    this.#connection.destroy();
  }

  /** The library joins the values of a key with commas, which clients of gRPC do not take apart. */
  #transport(metadata: Metadata) {
    const request = async (method: string, path: string, headers: http2.OutgoingHttpHeaders, options: http2.ClientSessionRequestOptions) =>
      this.#connection.request({ ...headers, ...metadata, ':method': method, ':path': path } as http2.OutgoingHttpHeaders, options);
    const sessionManager = { authority: 'http://session', request, notifyResponseByteRead: () => {} };
    return createGrpcTransport({ baseUrl: 'http://session', sessionManager, readMaxBytes: 64 << 20 });
  }
}

/** Sessions by the id that their clients made up. */
export class Sessions {
  readonly #open = new Map<string, Session>();
  readonly #waiting = new Set<() => void>();

  /** Serves as long as the connection lasts. Throws 400, 409 and 503. */
  async hold(id: string, connection: Duplex): Promise<void> {
    // It may have closed while BuildKit was loaded; it says so only once.
    if (connection.destroyed) {
      return;
    }
    if (this.#open.has(id)) {
      throw new ApiError(409, 'there is such a session already');
    }
    if (this.#open.size >= MOST_SESSIONS) {
      throw new ApiError(503, 'too many builds are open');
    }
    const session = new Session(connection);
    this.#open.set(id, session);
    for (const wake of [...this.#waiting]) {
      wake();
    }
    try {
      await new Promise<void>((resolve) => connection.once('close', resolve));
    } finally {
      this.#open.delete(id);
      session.close();
    }
  }

  /** Waits until its client has opened it. Throws 404. */
  async find(id: string, signal: AbortSignal): Promise<Session> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(APPEARS_MS)]);
    for (;;) {
      const session = this.#open.get(id);
      if (session !== undefined) {
        return session;
      }
      if (deadline.aborted) {
        signal.throwIfAborted();
        throw new ApiError(404, 'the session of the build did not come');
      }
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiting.delete(done);
          deadline.removeEventListener('abort', done);
          resolve();
        };
        this.#waiting.add(done);
        deadline.addEventListener('abort', done);
      });
    }
  }
}
