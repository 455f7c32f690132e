import { lstat, rm } from 'node:fs/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Duplex, Readable } from 'node:stream';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { withLock } from '../../../base/host/lock.ts';
import { logger } from '../../../base/log.ts';
import { runtimeDir } from '../../../base/paths.ts';
import { DOCKER_API_VERSION, DOCKER_VERSION } from '../../model/version.ts';
import { bodyBeforeUpgrade, bodyOf } from './body.ts';
import { describeError } from './errors.ts';
import { Query } from './query.ts';
import { type Reply, replyOver, replyUpgrade } from './reply.ts';
import type { Call, Match } from './router.ts';

const log = logger('docker');

export interface HttpServer {
  /** Ends all connections. */
  close(): Promise<void>;
}

/** The headers of every answer. */
const COMMON: Readonly<Record<string, string>> = {
  'Api-Version': DOCKER_API_VERSION,
  'Docker-Experimental': 'false',
  Ostype: 'linux',
  Server: `Docker/${DOCKER_VERSION} (linux)`,
};

/**
 * Serves the routes on a unix socket that only its owner may connect to. `onConnections` gets the number of open connections after each
 * change. Throws HYPR_LOCKED when somebody serves there.
 */
export const listen = async (
  socket: string,
  find: (method: string, path: string) => Match,
  onConnections: (count: number) => void,
): Promise<HttpServer> => {
  const open = new Set<Duplex>();
  const server = http.createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => void answer(find, request, response));
  server.on('upgrade', (request, connection, head) => void answerUpgrade(find, request, { connection, head }));
  server.on('connection', (connection) => {
    open.add(connection);
    onConnections(open.size);
    connection
      .on('error', () => {})
      .once('close', () => {
        open.delete(connection);
        onConnections(open.size);
      });
  });
  // Two that start at once must not take each other's socket away.
  await withLock(join(runtimeDir(), 'docker-listen.lock'), { what: "docker's API", timeout: 30_000 }, () => bind(server, socket));
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const connection of open) {
        connection.destroy();
      }
      await closed;
    },
  };
};

const bind = async (server: http.Server, socket: string): Promise<void> => {
  const refusal = await probe(socket);
  if (refusal === undefined || refusal === 'EAGAIN') {
    throw new HyprError('HYPR_LOCKED', `docker's API is served at ${socket} already`, { hint: `export DOCKER_HOST=unix://${socket}` });
  }
  await removeLeftover(socket, refusal);
  // Nobody else may connect from the first moment on.
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const umask = process.umask(0o177);
      // Binds a path before it returns.
      server.listen(socket, resolve);
      process.umask(umask);
    });
  } catch (error) {
    throw isErrno(error, 'EACCES', 'ENOENT', 'ENOTDIR')
      ? new HyprError('HYPR_PERMISSION', `${socket} cannot be made (${error.code})`, { cause: error })
      : error;
  }
};

/** Undefined when somebody serves there; otherwise why not. */
const probe = (socket: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const connection = connect(socket);
    connection.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    connection.once('connect', () => {
      connection.destroy();
      resolve(undefined);
    });
  });

/** Removes a socket of this user that nobody serves; everything else at that path stays. */
const removeLeftover = async (socket: string, refusal: string): Promise<void> => {
  const found = await lstat(socket).catch(() => undefined);
  if (found === undefined) {
    return;
  }
  if (!found.isSocket() || found.uid !== process.getuid?.() || refusal !== 'ECONNREFUSED') {
    throw new HyprError('HYPR_PERMISSION', `there is something else than an abandoned socket of this user at ${socket}`, {
      hint: 'name another path with --socket',
    });
  }
  await rm(socket, { force: true });
};

/** Never rejects. */
const answer = async (find: Find, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  for (const [name, value] of Object.entries(COMMON)) {
    response.setHeader(name, value);
  }
  const left = new AbortController();
  response.on('error', () => {}).once('close', () => left.abort());
  // Whoever expects a stream of input reads it; what is left of a body is read to its end, so that the connection can be used again.
  const reply = replyOver(response, request);
  const isBroken = await handle(find, { request, reply, signal: left.signal, bytes: request });
  request.resume();
  if (isBroken) {
    response.destroy();
  } else if (!response.writableEnded) {
    response.end();
  }
};

const answerUpgrade = async (
  find: Find,
  request: IncomingMessage,
  { connection, head }: { connection: Duplex; head: Buffer },
): Promise<void> => {
  const left = new AbortController();
  connection.once('close', () => left.abort());
  const reply = replyUpgrade(connection, request.headers.upgrade ?? 'tcp', COMMON);
  const body = await bodyBeforeUpgrade(request, connection, head).catch(() => undefined);
  if (body === undefined) {
    connection.destroy();
    return;
  }
  if (await handle(find, { request, reply, signal: left.signal, bytes: Readable.from([body]) })) {
    connection.destroy();
    return;
  }
  connection.end();
  // What its client still sends is of no use, and would keep the connection open if nobody read it.
  connection.resume();
};

type Find = (method: string, path: string) => Match;

interface Exchange {
  readonly request: IncomingMessage;
  readonly reply: Reply;
  readonly signal: AbortSignal;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Whether it failed after the head of its answer: what has been sent must not look complete. */
const handle = async (find: Find, { request, reply, signal, bytes }: Exchange): Promise<boolean> => {
  const { method = 'GET', url = '/' } = request;
  try {
    const { pathname, searchParams } = new URL(url.replace(/^\/+/, '/'), 'http://hypr');
    const { handler, params, version } = find(method, pathname);
    const call: Call = {
      params,
      version,
      query: new Query(searchParams),
      headers: request.headers,
      body: bodyOf(request, bytes),
      reply,
      signal,
    };
    await handler(call);
    log.debug('answered', { method, url });
    return false;
  } catch (error) {
    if (signal.aborted) {
      return false;
    }
    const { status, message } = describeError(error);
    log.debug('failed', { method, url, status, message });
    if (reply.hasStarted) {
      return true;
    }
    reply.json({ message }, status);
    return false;
  }
};
