import { randomUUID } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { linkedController, orAbort } from '../../../base/abort.ts';
import { AsyncQueue } from '../../../base/queue.ts';
import { describeError } from '../http/errors.ts';
import type { Host } from '../machines/host.ts';
import { type BuildFolders, openBuildFolders } from './build-folders.ts';
import { BuildProgress } from './build-progress.ts';
import { bodyInputs, fetchInputs, type Inputs } from './fetch-inputs.ts';
import { type ExportWish, settingsOf } from './frontend-request.ts';
import type { StatusResponse } from './gen/control_pb.ts';
import type { Sessions } from './sessions.ts';

/** Builds that are kept; the calls of one come on one connection, or on several at once. */
const MOST_BUILDS = 256;
/** What a build said is kept for clients that ask late, or read slowly: so many messages, and bytes. */
const MOST_EVENTS = 100_000;
const MOST_BYTES = 16 << 20;
/** How long after its end. */
const KEPT_MS = 30_000;
/** The calls of a build come in any order. */
const APPEARS_MS = 30_000;

/** What `Control.Solve` said of a build whose steps its client asks for by the gateway. */
export interface Order {
  readonly session: string;
  readonly wish: ExportWish | undefined;
  /** The context as a tar, which the session has otherwise. */
  readonly body?: AsyncIterable<Uint8Array>;
}

/** One build of a client, from its first call to its end. */
export class Build {
  readonly #ref: string;
  readonly #followers = new Set<AsyncQueue<StatusResponse>>();
  readonly #said: StatusResponse[] = [];
  readonly #order = Promise.withResolvers<Order>();
  readonly #returned = Promise.withResolvers<string | undefined>();
  readonly #images = new Map<string, string>();
  #bytes = 0;
  #isOver = false;

  constructor(ref: string) {
    this.#ref = ref;
    this.#returned.promise.catch(() => {});
  }

  begin(order: Order): void {
    this.#order.resolve(order);
  }

  /** Runs the steps; gives what stands for their result. */
  async solve(context: Context, options: Readonly<Record<string, string>>, signal: AbortSignal): Promise<string> {
    const order = await this.#orderWithin(signal);
    return await context.host.work.during(this.#solve(context, order, options, signal));
  }

  async #solve({ host, sessions }: Context, order: Order, options: Readonly<Record<string, string>>, signal: AbortSignal): Promise<string> {
    const progress = new BuildProgress(`${this.#ref} ${this.#images.size}`);
    await using folders = await openBuildFolders();
    const running = linkedController(signal);
    try {
      const settings = settingsOf(options, order.wish);
      const inputs = await inputsOf(order, { sessions, options, folders, signal: running.signal });
      const images = await host.images();
      const { imageId } = await images.build({ ...settings, ...inputs }, (event) => this.#say(progress.statusOf(event)), running.signal);
      const result = randomUUID();
      this.#images.set(result, imageId);
      return result;
    } finally {
      running.abort();
    }
  }

  async #orderWithin(signal: AbortSignal): Promise<Order> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(APPEARS_MS)]);
    return await orAbort(this.#order.promise, late).catch(() => {
      throw new ConnectError('the build was not begun', Code.FailedPrecondition);
    });
  }

  /** The client has decided: its result, or why there is none. */
  end(result: string | undefined, failure?: string): void {
    if (failure === undefined) {
      this.#returned.resolve(result);
    } else {
      this.#returned.reject(new ConnectError(failure, Code.Unknown));
    }
  }

  /** The image of the result that the client returned; empty when there is none. */
  async image(signal: AbortSignal): Promise<string> {
    const result = await orAbort(this.#returned.promise, signal).catch((error: unknown) => {
      throw signal.aborted ? new ConnectError('the client has gone', Code.Canceled) : error;
    });
    return this.imageOf(result);
  }

  imageOf(result: string | undefined): string {
    return result === undefined ? '' : (this.#images.get(result) ?? '');
  }

  close(): void {
    this.#isOver = true;
    for (const follower of this.#followers) {
      follower.end();
    }
  }

  /** What was said so far, and then what is said until the end. */
  follow(): AsyncQueue<StatusResponse> {
    const queue: AsyncQueue<StatusResponse> = new AsyncQueue({
      keepNewest: MOST_EVENTS,
      weigh: bytesOf,
      keepWeight: MOST_BYTES,
      onClose: () => this.#followers.delete(queue),
    });
    for (const status of this.#said) {
      void queue.push(status);
    }
    if (this.#isOver) {
      queue.end();
    } else {
      this.#followers.add(queue);
    }
    return queue;
  }

  #say(status: StatusResponse): void {
    this.#bytes += bytesOf(status);
    if (this.#said.length < MOST_EVENTS && this.#bytes < MOST_BYTES) {
      this.#said.push(status);
    }
    for (const follower of this.#followers) {
      void follower.push(status);
    }
  }
}

interface Fetching {
  readonly sessions: Sessions;
  readonly options: Readonly<Record<string, string>>;
  readonly folders: BuildFolders;
  readonly signal: AbortSignal;
}

/** Of the session, or of the body of a request, beside which a session need not be. */
const inputsOf = async ({ session: id, body }: Order, { sessions, options, folders, signal }: Fetching): Promise<Inputs> => {
  if (body === undefined) {
    return await fetchInputs(await sessions.find(id, signal), options, folders, signal);
  }
  return bodyInputs(id === '' ? undefined : await sessions.find(id, signal), { options, body }, folders, signal);
};

/** About what a message takes in memory: its texts, and what is around them. */
const bytesOf = ({ logs, vertexes, statuses, warnings }: StatusResponse): number =>
  AROUND +
  logs.reduce((sum, { msg }) => sum + msg.length, 0) +
  vertexes.reduce((sum, { name, error }) => sum + name.length + error.length, 0) +
  statuses.reduce((sum, { ID, name }) => sum + ID.length + name.length, 0) +
  warnings.reduce((sum, { short }) => sum + short.length, 0);
const AROUND = 128;

export interface Context {
  readonly host: Host;
  readonly sessions: Sessions;
}

/** Builds by the name that their clients gave them. */
export class Builds {
  readonly #builds = new Map<string, Build>();

  /** Made where there is none: the calls of a build come in any order. */
  of(ref: string): Build {
    const known = this.#builds.get(ref);
    if (known !== undefined) {
      return known;
    }
    if (this.#builds.size >= MOST_BUILDS) {
      const [oldest = ''] = this.#builds.keys();
      this.#builds.get(oldest)?.close();
      this.#builds.delete(oldest);
    }
    const build = new Build(ref);
    this.#builds.set(ref, build);
    return build;
  }

  /** Ends it; what was said can still be asked for during a while. */
  end(ref: string): void {
    const build = this.#builds.get(ref);
    build?.close();
    setTimeout(() => this.#builds.get(ref) === build && this.#builds.delete(ref), KEPT_MS).unref();
  }
}

/** An error as gRPC has it, in the words of the API. */
export const grpcError = (error: unknown): ConnectError =>
  error instanceof ConnectError ? error : new ConnectError(describeError(error).message, Code.Unknown);
