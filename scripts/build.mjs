// Bundles the CLI, the supervisor and the maker of fixture images into dist/; cli/start.ts says what is what there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, readFile, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = new URL('..', import.meta.url);
const dist = new URL('dist/', root);

const common = {
  absWorkingDir: fileURLToPath(root),
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  target: 'node20',
  jsx: 'automatic',
  // Less to compile at every start; names stay, for stacks.
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: 'warning',
  external: ['better-sqlite3', 'react-devtools-core'],
};

const production = { 'process.env.NODE_ENV': '"production"' };

await rm(dist, { recursive: true, force: true });

// Modules: the dashboard, and what nobody waits for.
await build({
  ...common,
  entryPoints: { dashboard: 'cli/ui/run-dashboard.tsx', fixtures: 'fixtures/images/main.ts', bench: 'test/bench/main.ts' },
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

// The scripts that start, and what they run: one function each, see base/load-bundle.ts.
const commonScript = { ...common, format: 'cjs', outExtension: { '.js': '.cjs' } };
await build({
  ...commonScript,
  entryPoints: { start: 'cli/start.ts', supervisor: 'engine/supervisor-start.ts', 'load-bundle': 'base/load-bundle.ts' },
});
await build({
  ...commonScript,
  entryPoints: { hypr: 'cli/bundle.ts', supervise: 'engine/bundle.ts' },
  sourcemap: 'external',
  define: { ...production, 'import.meta.url': '__url' },
  banner: { js: '(function (module, require, __url, __load) {' },
  footer: { js: '})' },
  plugins: [dashboardAside],
});
for (const name of ['hypr', 'supervise']) {
  const bundle = new URL(`${name}.cjs`, dist);
  // The mark by which a cache is known to be this text's.
  const mark = createHash('sha256')
    .update(await readFile(bundle))
    .digest('hex');
  await appendFile(bundle, `//${mark}`);
}

// A process of its own: what it runs is the product, in a home of its own.
const { status } = spawnSync(process.execPath, [fileURLToPath(new URL('train.mjs', import.meta.url))], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
if (status !== 0) {
  process.stderr.write('warning: there is no code cache, so every start takes longer\n');
}
