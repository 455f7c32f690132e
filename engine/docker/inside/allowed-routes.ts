import { ApiError } from '../http/errors.ts';
import type { Routes } from '../http/router.ts';
import type { Scope } from './scope.ts';

/** What tells something and changes nothing. What takes files out of a machine, or runs a program in it, is not among it. */
const READ: readonly string[] = [
  'GET /_ping',
  'HEAD /_ping',
  'GET /version',
  'GET /info',
  'GET /events',
  'GET /containers/json',
  'GET /containers/{id}/json',
  'GET /containers/{id}/logs',
  'GET /containers/{id}/stats',
  'GET /containers/{id}/top',
  'POST /containers/{id}/wait',
  'GET /images/json',
  'GET /images/{name...}/json',
  'GET /images/{name...}/history',
  'GET /networks',
  'GET /networks/{id}',
  'GET /volumes',
  'GET /volumes/{name}',
  'GET /swarm',
  'GET /nodes',
  'GET /services',
  'GET /tasks',
  'GET /secrets',
  'GET /configs',
  'GET /plugins',
];

const REMOVE: readonly string[] = [
  'POST /containers/{id}/stop',
  'POST /containers/{id}/kill',
  'DELETE /containers/{id}',
  'DELETE /networks/{id}',
  'DELETE /volumes/{name}',
  'DELETE /images/{name...}',
];

/** The routes with all others of them refused (403). */
export const allowedRoutes = (routes: Routes, may: Scope['may']): Routes => {
  if (may === 'everything') {
    return routes;
  }
  const allowed = new Set(may === 'remove' ? [...READ, ...REMOVE] : READ);
  return Object.fromEntries(
    Object.entries(routes).map(([route, handler]) => [
      route,
      allowed.has(route)
        ? handler
        : () => {
            throw new ApiError(
              403,
              `a machine may not ask for ${route} by the socket that it has: it ${may === 'read' ? 'only reads about its own stack' : 'sees and removes what its tests made'} (x-hypr.docker: full, or the label hypr.docker=full, allows it)`,
            );
          },
    ]),
  );
};
