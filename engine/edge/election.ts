import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { onAbort, whenAborted } from '../../base/abort.ts';
import { sleep } from '../../base/deadline.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { withLock } from '../../base/host/lock.ts';
import { logger } from '../../base/log.ts';
import type { EdgeInfo } from '../model/edge.ts';
import { connectHolder, edgePaths } from './info.ts';

const log = logger('edge');

export interface Candidate {
  /** Begins to serve: called when this process has become the holder. */
  serve(signal: AbortSignal): Promise<{ info(): Promise<EdgeInfo>; close(): Promise<void> }>;
  /** The runtime folder that the candidates share. */
  readonly folder?: string;
  readonly signal: AbortSignal;
}

/**
 * Takes part in serving the edge until the signal aborts: one process of this user holds it, the others keep a connection to it and try to
 * become the holder as soon as that ends, however it ended. Resolves when everything is closed; never rejects.
 */
export const takePart = async ({ serve, folder, signal }: Candidate): Promise<void> => {
  const { lock, socket } = edgePaths(folder);
  while (!signal.aborted) {
    try {
      await withLock(lock, { timeout: 0, what: 'the edge' }, () => hold(socket, serve, signal));
    } catch (error) {
      if (!(error instanceof HyprError && error.code === 'HYPR_LOCKED')) {
        log.error('the edge cannot be served', { error: messageOf(error) });
        await sleep(AFTER_FAILURE_MS, signal).catch(() => {});
        continue;
      }
    }
    if (!signal.aborted) {
      await untilHolderEnds(socket, signal);
    }
  }
};

const hold = async (path: string, serve: Candidate['serve'], signal: AbortSignal): Promise<void> => {
  log.info('holding the edge');
  await rm(path, { force: true });
  const serving = await serve(signal);
  const waiting = new Set<Socket>();
  const server = createServer((socket) => {
    waiting.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => waiting.delete(socket));
    socket.resume();
    serving.info().then(
      (info) => socket.write(`${JSON.stringify(info)}\n`),
      (error: unknown) => socket.destroy(error as Error),
    );
  });
  try {
    await listen(server, path);
    await whenAborted(signal);
  } finally {
    // The ports first: those that wait try them as soon as their connection ends.
    await serving.close();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of waiting) {
      socket.destroy();
    }
    await closed;
  }
};

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });

/** Resolves when the connection to the holder ends, or soon if there is no holder to connect to. */
const untilHolderEnds = async (path: string, signal: AbortSignal): Promise<void> => {
  try {
    const { socket } = await connectHolder(path, signal);
    await new Promise<void>((resolve) => {
      const leave = onAbort(signal, () => socket.destroy());
      socket.once('close', () => {
        leave();
        resolve();
      });
    });
  } catch {
    // The holder has its lock but not its socket, because it begins or ends: there is no event for that.
    await sleep(BETWEEN_MS, signal).catch(() => {});
  }
};

const BETWEEN_MS = 50;
const AFTER_FAILURE_MS = 5_000;
