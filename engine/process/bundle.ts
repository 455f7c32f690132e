/** What dist/supervise.cjs exports: for engine/process/supervisor-start.ts, and for scripts/train.mjs, which makes the code cache. */

export { apiMethods } from '../api/server/handlers.ts';
export { serveApi } from '../api/server/server.ts';
export { openPlatform } from '../host.ts';
export { stackPaths } from '../model/stack-paths.ts';
export { StackSupervisor } from '../stack/supervisor.ts';
export { openStateStore } from '../state/store.ts';
export { runSupervisor } from './supervisor-main.ts';
