import type { Routes } from '../http/router.ts';
import type { Host } from '../machines/host.ts';
import { archiveRoutes } from './archive.ts';
import { buildRoutes } from './build.ts';
import { containerRoutes } from './containers.ts';
import { imageRoutes } from './images.ts';
import { lifecycleRoutes } from './lifecycle.ts';
import { networkRoutes } from './networks.ts';
import { statsRoutes } from './stats.ts';
import { streamRoutes } from './streams.ts';
import { systemRoutes } from './system.ts';
import { updateRoutes } from './update.ts';
import { volumeRoutes } from './volumes.ts';
import { webSocketRoutes } from './web-sockets.ts';

/** All that is served, by method and path; docs/docker-api.md has a table of it. */
export const dockerRoutes = (host: Host): Routes => ({
  ...systemRoutes(host),
  ...containerRoutes(host),
  ...lifecycleRoutes(host),
  ...updateRoutes(host),
  ...streamRoutes(host),
  ...webSocketRoutes(host),
  ...archiveRoutes(host),
  ...statsRoutes(host),
  ...buildRoutes(host),
  ...imageRoutes(host),
  ...networkRoutes(host),
  ...volumeRoutes(host),
});
