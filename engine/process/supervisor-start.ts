import { loadBundle } from '../../base/host/load-bundle.ts';

/** How the supervisor starts, as dist/supervisor.cjs: from a bundle with V8's code cache, as cli/entry/start.ts says. */
const { runSupervisor } = loadBundle(__dirname, 'supervise', require).exports as typeof import('./bundle.ts');

void runSupervisor();
