import { writeSync } from 'node:fs';
import { loadBundle } from '../../base/host/load-bundle.ts';
import { HYPR_VERSION } from '../core/version.ts';

/*
 * How the CLI starts. bin/hypr runs this file as dist/start.cjs, a script: Node needs no loader of modules for it.
 * It runs dist/hypr.cjs, which holds what most commands need, and as they are imported the chunks beside it. Each file has V8's code cache beside it: nothing is compiled that the cache has, and of the rest
 * only what runs. So a command pays for what it uses. The supervisor starts the same way (engine/process/supervisor-start.ts).
 *
 *   dist/start.cjs       → hypr.cjs, hypr/<chunk>.cjs, each with .cache               cli/entry/bundle.ts
 *   dist/supervisor.cjs  → supervise.cjs with .cache                                  engine/process/bundle.ts
 *
 * scripts/build.mjs makes all of them, and scripts/train.mjs the caches: it runs what most commands run and keeps what V8
 * compiled for it.
 */

/** Prints the version where that is all there is to do, without the bundle and Node's streams. Whatever fails is left to runProcess. */
const printVersion = (): boolean => {
  if (process.argv.length !== 3 || (process.argv[2] !== '--version' && process.argv[2] !== '-v')) {
    return false;
  }
  try {
    writeSync(1, `hypr version ${HYPR_VERSION}\n`);
    return true;
  } catch {
    return false;
  }
};

/** Gives the variables their values of the shell; bin/hypr has kept NODE_OPTIONS from this process, and told glibc what is for this one alone. */
const restoreNodeOptions = (): void => {
  const { HYPR_SHELL_NODE_OPTIONS: given, HYPR_NODE_OPTIONS: own } = process.env;
  if (process.env.HYPR_SET_MALLOC !== undefined) {
    for (const name of ['HYPR_SET_MALLOC', 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_']) {
      delete process.env[name];
    }
  }
  if (given !== undefined) {
    process.env.NODE_OPTIONS = given;
    delete process.env.HYPR_SHELL_NODE_OPTIONS;
  } else if (own !== undefined) {
    delete process.env.NODE_OPTIONS;
  }
};

if (!printVersion()) {
  restoreNodeOptions();
  const { runProcess } = loadBundle(__dirname, 'hypr', require).exports as typeof import('./bundle.ts');
  void runProcess();
}
