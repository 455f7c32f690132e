import { messageOf } from '../../base/errors.ts';
import { checkPorts } from '../../net/ports/check-ports.ts';
import { askEdge } from '../edge/info.ts';
import { edgePorts } from '../edge/settings.ts';

/**
 * Why the desktop must not be sent to the first port of the edge: another user's edge or another program has it, and would answer for
 * this user's names. Undefined where this user's edge has it, or nobody. `folder` is the runtime folder.
 */
export const whyNotOurPort = async (env: NodeJS.ProcessEnv, signal: AbortSignal, folder?: string): Promise<string | undefined> => {
  const [port] = edgePorts(env);
  if (port === undefined) {
    return 'there is no edge (HYPR_EDGE_PORT=0)';
  }
  const own = (await askEdge(signal, folder).catch(() => signal.throwIfAborted()))?.port;
  if (own === port) {
    return undefined;
  }
  try {
    await checkPorts([{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: port }]);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
};
