import { pacFile } from '../../net/edge/pages/pac.ts';
import { nameDomain } from '../../net/names/directory.ts';
import { edgePorts } from '../edge/settings.ts';

/** The edge's first port; undefined where there is no edge (HYPR_EDGE_PORT=0). */
const edgePort = (env: NodeJS.ProcessEnv): number | undefined => edgePorts(env)[0];

/** Where the edge serves its PAC: by default at the port that is the first to be tried, which another user's edge may have. */
export const pacUrl = (env: NodeJS.ProcessEnv, port = edgePort(env) ?? 0): string => `http://127.0.0.1:${port}/proxy.pac`;

/** The PAC of the edge at that port as a URL that needs no server: for browsers that hypr starts. */
export const pacDataUrl = (port: number, env: NodeJS.ProcessEnv): string =>
  `data:application/x-ns-proxy-autoconfig;base64,${Buffer.from(pacFile(`127.0.0.1:${port}`, nameDomain(env))).toString('base64')}`;
