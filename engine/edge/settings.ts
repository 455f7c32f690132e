import { HyprError } from '../../base/errors.ts';

/** The port of the edge, unless HYPR_EDGE_PORT is another or 0, which is none. */
const DEFAULT_EDGE_PORT = 7080;
/** Ports that are tried after it when it is taken and nothing was set: another user of this host has an edge of their own. */
const MOST_PORTS = 20;

/** Ports to try for the edge, in order; empty where it is switched off. A port that was set is the only one. */
export const edgePorts = (env: NodeJS.ProcessEnv = process.env): readonly number[] => {
  const text = env.HYPR_EDGE_PORT;
  if (text === undefined || text === '') {
    return Array.from({ length: MOST_PORTS }, (_, at) => DEFAULT_EDGE_PORT + at);
  }
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) {
    throw new HyprError('HYPR_USAGE', `HYPR_EDGE_PORT is ${JSON.stringify(text)}: it must be a port, or 0 for no edge`);
  }
  return port === 0 ? [] : [port];
};
