import { pacFile } from '../../net/edge/pages/pac.ts';
import { nameDomain } from '../../net/names/directory.ts';
import { edgePorts } from '../edge/settings.ts';

const DATA = 'data:application/x-ns-proxy-autoconfig;base64,';

/**
 * The PAC of the edge at that port (by default the first that is tried) as a URL that needs no server. A browser that fetched it from the edge would
 * take it from whoever listens there while no stack runs, and that program could then read and answer what goes to any other host.
 */
export const pacUrl = (env: NodeJS.ProcessEnv, port = edgePorts(env)[0] ?? 0): string =>
  `${DATA}${Buffer.from(pacFile(`127.0.0.1:${port}`, nameDomain(env))).toString('base64')}`;

/** Whether hypr has set that PAC: of an edge at any port, for any domain, or fetched from the edge, as earlier versions set it. */
export const isOwnPac = (url: string, env: NodeJS.ProcessEnv): boolean => {
  const fetched = /^http:\/\/127\.0\.0\.1:(\d{1,5})\/proxy\.pac$/.exec(url)?.[1];
  if (fetched !== undefined) {
    return edgePorts(env).includes(Number(fetched));
  }
  return url.startsWith(DATA) && hasOwnShape(Buffer.from(url.slice(DATA.length), 'base64').toString());
};

/** The text with port and domain left open. */
const hasOwnShape = (text: string): boolean => {
  const [, domain, port] = /=== "([^"]*)".*'PROXY 127\.0\.0\.1:(\d{1,5})'/.exec(text) ?? [];
  return domain !== undefined && port !== undefined && text === pacFile(`127.0.0.1:${port}`, domain);
};
