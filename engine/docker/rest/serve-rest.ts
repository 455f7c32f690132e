import type { SettingsApi } from '../../model/command-options.ts';
import { makeRouter, type Routes } from '../http/router.ts';
import { type Find, serveConnections } from '../http/serve-connections.ts';
import type { Host } from '../machines/host.ts';
import { type LoopbackServer, listenOnLoopback } from './listen.ts';
import { collectAllMetrics, METRICS_TYPE } from './metrics.ts';
import { isProxied, proxyTo } from './proxy.ts';
import { restRoutes } from './routes.ts';

/** What tells only which requests there are. */
const OPEN = ['/docs', '/openapi.json', '/api/v1/openapi.json'];

interface RestOptions {
  readonly port: number;
  readonly token: string;
  readonly settings?: SettingsApi | undefined;
  /** Sees what comes to its routes. */
  readonly watch?: (routes: Routes) => Routes;
}

/** The JSON API on a port of 127.0.0.1. Throws NET_PORT_IN_USE. */
export const serveRest = async (
  host: Host,
  { port, token, settings, watch = (routes) => routes }: RestOptions,
): Promise<LoopbackServer> => {
  const find = makeRouter(watch(restRoutes(host, settings)));
  const plain: Find = (method, path) => find(method, path.replace(/^\/api\/v1(?=\/)/, ''));
  const { server } = serveConnections(plain, () => {});
  return await listenOnLoopback(
    { port, token, open: OPEN },
    (request, response) => {
      if (isProxied(request.url ?? '')) {
        proxyTo(host, request, response);
      } else {
        server.emit('request', request, response);
      }
    },
    (request, connection, head) => server.emit('upgrade', request, connection, head),
  );
};

/** The metrics of all stacks at `/metrics` of a port of 127.0.0.1. Throws NET_PORT_IN_USE. */
export const serveMetrics = ({ port, token }: { port: number; token: string }): Promise<LoopbackServer> =>
  listenOnLoopback({ port, token, open: [] }, (request, response) => {
    if ((request.url ?? '').split('?')[0] !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('there is only /metrics\n');
      return;
    }
    const left = new AbortController();
    response.once('close', () => left.abort());
    collectAllMetrics(left.signal).then(
      (text) => response.writeHead(200, { 'content-type': METRICS_TYPE }).end(text),
      (error: Error) => response.writeHead(500, { 'content-type': 'text/plain' }).end(`${error.message}\n`),
    );
  });
