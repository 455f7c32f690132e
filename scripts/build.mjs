// Bundles the CLI, the supervisor and the maker of fixture images into dist/; cli/entry/start.ts says what is what there.
import { spawnSync } from 'node:child_process';
import { readdir, rm, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { makeBundle } from './bundle.mjs';

const root = new URL('..', import.meta.url);
const dist = new URL('dist/', root);

const common = {
  absWorkingDir: fileURLToPath(root),
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  target: 'node24',
  jsx: 'automatic',
  // Less to compile at every start; names stay, for stacks.
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: 'warning',
  external: ['better-sqlite3', 'react-devtools-core'],
};

const production = { 'process.env.NODE_ENV': '"production"' };

const DAY_MS = 24 * 60 * 60 * 1000;

/** Removes what was built before, but chunks only after a month: a command that is attached reads its own when it needs them. */
const clear = async () => {
  const names = async (folder) => (await readdir(folder).catch(() => [])).map((name) => new URL(name, folder));
  const built = (await names(dist)).filter((url) => !url.pathname.endsWith('/hypr'));
  for (const url of await names(new URL('hypr/', dist))) {
    if ((await stat(url)).mtimeMs < Date.now() - 30 * DAY_MS) {
      built.push(url);
    }
  }
  await Promise.all(built.map((url) => rm(url, { recursive: true, force: true })));
};

await clear();

// Modules: the dashboard, and what nobody waits for.
await build({
  ...common,
  entryPoints: { dashboard: 'cli/dashboard/run-dashboard.tsx', fixtures: 'fixtures/images/main.ts', bench: 'test/bench/main.ts' },
  splitting: true,
  format: 'esm',
  sourcemap: 'linked',
  define: production,
  banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
});

/** The dashboard is not in the bundle: its layout library awaits while it loads, which only modules can. */
const dashboardAside = {
  name: 'dashboard-aside',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /\/run-dashboard\.tsx$/ }, () => ({ path: 'dashboard', namespace: 'aside' }));
    onLoad({ filter: /.*/, namespace: 'aside' }, () => ({
      contents: 'export const runDashboard = async (options) => (await __load("dashboard.js")).runDashboard(options);',
    }));
  },
};

// The scripts that start.
await build({
  ...common,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  entryPoints: { start: 'cli/entry/start.ts', supervisor: 'engine/process/supervisor-start.ts', 'load-bundle': 'base/host/load-bundle.ts' },
});

/**
 * The database's own script for our platform: the one for all looks for the C library in /proc/self/maps and for a build of its
 * own at every start. Bundled it is in the code cache; the native half stays where it is.
 */
const databaseInside = {
  name: 'database-inside',
  setup: ({ onResolve }) => {
    onResolve({ filter: /^better-sqlite3$/ }, () => ({ path: join(fileURLToPath(root), 'node_modules/better-sqlite3/lib/linux-x64.js') }));
    // Found from dist/start.cjs, from where bundles require.
    onResolve({ filter: /\.node$/ }, ({ path, resolveDir }) => ({
      path: relative(fileURLToPath(dist), join(resolveDir, path)),
      external: true,
    }));
  },
};

// What they run. What talks to a stack that runs is in one file, for most commands read nothing else.
const options = { ...common, external: ['react-devtools-core'], define: production, plugins: [dashboardAside, databaseInside] };
const core = ['cli/entry/run.ts', 'cli/entry/wiring.ts', 'cli/commands/exec.ts', 'cli/commands/ps.ts', 'cli/commands/logs.ts'];
core.push('compose/load/load.ts', 'engine/index.ts', 'engine/client/stack-client.ts');
await makeBundle({ dist: fileURLToPath(dist), name: 'hypr', entry: 'cli/entry/bundle.ts', core, options });
// A supervisor runs for months, and what it has not read may be another version's when it needs it.
await makeBundle({ dist: fileURLToPath(dist), name: 'supervise', entry: 'engine/process/bundle.ts', core: undefined, options });

// A process of its own: what it runs is the product, in a home of its own.
const { status } = spawnSync(process.execPath, [fileURLToPath(new URL('train.mjs', import.meta.url))], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
if (status !== 0) {
  process.stderr.write('warning: there is no code cache, so every start takes longer\n');
}
