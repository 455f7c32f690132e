import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Script } from 'node:vm';

// What bin/hypr starts, as dist/start.cjs: Node has started that before it has its loader of modules.

/** What `dist/config.cjs` exports; see config-main.ts. */
interface ConfigBundle {
  readonly runIfConfig: (argv: readonly string[]) => Promise<boolean>;
}

/**
 * Runs `hypr config` from its own bundle with V8's code cache, both made by scripts/build.mjs: a third of
 * the time of loading modules. A cache that another Node made is rejected by V8, and the bundle compiled.
 * False, with nothing done, for any other command and where there is no bundle.
 */
const runCached = async (argv: readonly string[]): Promise<boolean> => {
  // Digests are asked of registries by the engine, which is not in the bundle.
  const isCandidate = argv.includes('config') && !argv.some((arg) => arg.includes('digest')) && !process.env.HYPR_TRACE;
  const bundle = isCandidate ? loadBundle() : undefined;
  return bundle === undefined ? false : await bundle.runIfConfig(argv);
};

const loadBundle = (): ConfigBundle | undefined => {
  const filename = join(__dirname, 'config.cjs');
  // esbuild writes ASCII.
  const text = readIfThere(filename)?.toString('latin1');
  if (text === undefined) {
    return undefined;
  }
  const cachedData = readIfThere(`${filename}.cache`);
  const script = new Script(text, { filename, ...(cachedData === undefined ? {} : { cachedData }) });
  const run = script.runInThisContext() as (module: { exports: unknown }, require: NodeJS.Require) => void;
  const module = { exports: {} };
  run(module, require);
  return module.exports as ConfigBundle;
};

const readIfThere = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
};

const loadModules = (): Promise<unknown> => import(MODULES);

/** Left to Node, not bundled. */
const MODULES = './hypr.js';

void (async () => {
  if (!(await runCached(process.argv.slice(2)))) {
    await loadModules();
  }
})();
