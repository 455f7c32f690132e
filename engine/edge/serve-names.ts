import type { EdgeEvent } from '../../net/edge/http/types.ts';
import type { EdgeInfo } from '../model/edge.ts';
import { openNameDirectory } from '../names/open-directory.ts';
import { takePart } from './election.ts';
import { serveAll } from './serve.ts';

/**
 * Takes part in serving the names of all stacks of this user until the signal aborts: over HTTP, TLS and DNS, when this is the process that holds
 * them. Never rejects.
 */
export const serveNames = (onHolding: (info: EdgeInfo) => void, signal: AbortSignal, onEvent?: (event: EdgeEvent) => void): Promise<void> =>
  takePart({
    signal,
    serve: async () => {
      const serving = await serveAll({ directory: openNameDirectory(), ...(onEvent === undefined ? {} : { onEvent }) });
      // The socket is opened without waiting for the resolver's answer.
      serving.info().then(onHolding, () => {});
      return serving;
    },
  });
