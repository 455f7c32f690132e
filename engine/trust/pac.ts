import { pacFile } from '../../net/edge/pages/pac.ts';
import { nameDomain } from '../../net/names/directory.ts';
import { edgePorts } from '../edge/settings.ts';

/** The edge's first port; undefined where there is no edge (HYPR_EDGE_PORT=0). */
export const edgePort = (env: NodeJS.ProcessEnv): number | undefined => edgePorts(env)[0];

/** Where the edge serves its PAC. */
export const pacUrl = (env: NodeJS.ProcessEnv): string => `http://127.0.0.1:${edgePort(env) ?? 0}/proxy.pac`;

/** The same PAC as a URL that needs no server: for browsers that hypr starts, which may be there before the edge is. */
export const pacDataUrl = (env: NodeJS.ProcessEnv): string =>
  `data:application/x-ns-proxy-autoconfig;base64,${Buffer.from(pacFile(`127.0.0.1:${edgePort(env) ?? 0}`, nameDomain(env))).toString('base64')}`;
