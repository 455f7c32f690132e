/** What dist/supervise.cjs exports: to engine/supervisor-start.ts, and for scripts/train.mjs what it makes the code cache with. */

export { apiRoutes } from './api/handlers.ts';
export { serveApi } from './api/server.ts';
export { stackPaths } from './stack-paths.ts';
export { openStateStore } from './state/store.ts';
export { StackSupervisor } from './supervisor.ts';
export { runSupervisor } from './supervisor-main.ts';
export { openPlatform } from './wiring.ts';
