import { loadBundle } from '../../base/host/load-bundle.ts';

/*
 * How the CLI starts. bin/hypr runs this file as dist/start.cjs, a script: Node needs no loader of modules for it.
 * It runs dist/hypr.cjs, which holds what most commands need, and as they are imported the chunks beside it: all of the
 * CLI but the dashboard. Each file has V8's code cache beside it: nothing is compiled that the cache has, and of the rest
 * only what runs. So a command pays for what it uses. The supervisor starts the same way (engine/process/supervisor-start.ts).
 *
 *   dist/start.cjs       → hypr.cjs, hypr/<chunk>.cjs, each with .cache               cli/entry/bundle.ts
 *   dist/supervisor.cjs  → supervise.cjs with .cache                                  engine/process/bundle.ts
 *   dist/dashboard.js    modules, loaded when it is drawn                             cli/dashboard/run-dashboard.tsx
 *
 * The dashboard stays a module because its layout library awaits while it loads. scripts/build.mjs makes all of them, and
 * scripts/train.mjs the caches: it runs what most commands run and keeps what V8 compiled for it.
 */

const { runProcess } = loadBundle(__dirname, 'hypr', require).exports as typeof import('./bundle.ts');

void runProcess();
