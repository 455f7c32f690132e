import { lstat, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { withLock } from '../../../base/host/lock.ts';
import { runtimeDir } from '../../../base/paths.ts';
import { type Find, serveConnections } from './serve-connections.ts';

export interface HttpServer {
  /** Ends all connections. */
  close(): Promise<void>;
}

/** The same on a socket that listens already: whoever opened it says who may connect. */
export const listenOn = async (descriptor: number, find: Find, onConnections: (count: number) => void): Promise<HttpServer> => {
  const { server, close } = serveConnections(find, onConnections);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd: descriptor }, resolve);
  });
  return { close };
};

/**
 * Serves the routes on a unix socket that only its owner may connect to. `onConnections` gets the number of open connections after each
 * change. Throws HYPR_LOCKED when somebody serves there.
 */
export const listen = async (socket: string, find: Find, onConnections: (count: number) => void): Promise<HttpServer> => {
  const { server, close } = serveConnections(find, onConnections);
  // Two that start at once must not take each other's socket away.
  await withLock(join(runtimeDir(), 'docker-listen.lock'), { what: "docker's API", timeout: 30_000 }, () => bind(server, socket));
  return { close };
};

const bind = async (server: Server, socket: string): Promise<void> => {
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

/** Whether somebody serves there. */
export const isListening = async (socket: string): Promise<boolean> => {
  const refusal = await probe(socket);
  return refusal === undefined || refusal === 'EAGAIN';
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
