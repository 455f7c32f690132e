import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { runtimeDir } from '../../base/paths.ts';
import type { EdgeInfo } from '../model/edge.ts';
import { readEdgeInfo } from './read-holder.ts';

/** The files through which supervisors agree who serves the edge. */
export const edgePaths = (folder: string = runtimeDir()) => ({ lock: join(folder, 'edge.lock'), socket: join(folder, 'edge.sock') });

/** Connects to the holder: what it serves, and the connection, which ends when the holder does. Throws when there is none. */
export const connectHolder = (socketPath: string, signal: AbortSignal): Promise<{ info: EdgeInfo; socket: Socket }> =>
  withDeadline({ ms: ANSWER_MS, what: 'the edge', signal }, async (within) => {
    const socket = connect(socketPath);
    const end = (): void => void socket.destroy();
    within.addEventListener('abort', end, { once: true });
    try {
      const info = await readInfo(socket);
      within.throwIfAborted();
      return { info, socket };
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      within.removeEventListener('abort', end);
    }
  });

/** What the edge of this user serves now; undefined when no stack runs. Throws HYPR_TIMEOUT, SUPERVISOR_VERSION. */
export const askEdge = async (signal: AbortSignal, folder?: string): Promise<EdgeInfo | undefined> => {
  try {
    const { info, socket } = await connectHolder(edgePaths(folder).socket, signal);
    socket.destroy();
    return info;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof HyprError && (error.code === 'HYPR_TIMEOUT' || error.code === 'SUPERVISOR_VERSION')) {
      throw error;
    }
    return undefined;
  }
};

const ANSWER_MS = 5_000;
const MOST_BYTES = 64 * 1024;

const readInfo = (socket: Socket): Promise<EdgeInfo> =>
  new Promise((resolve, reject) => {
    let text = '';
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('utf8');
      if (text.endsWith('\n')) {
        socket.off('data', onData).off('error', reject).off('close', onClose);
        socket.on('error', () => {});
        // Nothing more comes, but only reading shows its end.
        socket.resume();
        try {
          resolve(readEdgeInfo(text));
        } catch (error) {
          reject(error as Error);
        }
      } else if (text.length > MOST_BYTES) {
        reject(new HyprError('HYPR_INTERNAL', 'the edge gave an answer that is none'));
      }
    };
    const onClose = (): void => reject(new HyprError('SUPERVISOR_GONE', 'the edge ended'));
    socket.on('data', onData).once('error', reject).once('close', onClose);
  });
