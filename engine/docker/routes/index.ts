import type { Routes } from '../http/router.ts';
import type { Host } from '../machines/host.ts';
import { containerRoutes } from './containers.ts';
import { systemRoutes } from './system.ts';

/** All that is served, by method and path; docs/docker-api.md has a table of it. */
export const dockerRoutes = (host: Host): Routes => ({
  ...systemRoutes(host),
  ...containerRoutes(host),
});
