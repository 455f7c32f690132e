import { loadBundle } from '../../base/host/load-bundle.ts';

/** Entry point of the supervisor, dist/supervisor.cjs: loads a bundle with V8's code cache, as cli/entry/start.ts explains. */
const { runSupervisor } = loadBundle(__dirname, 'supervise', require).exports as typeof import('./bundle.ts');

void runSupervisor();
