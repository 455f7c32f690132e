// Bundles the CLI, the supervisor and the maker of fixture images into dist/; cli/entry/start.ts describes the files there.
import { spawnSync } from 'node:child_process';
import { copyFile, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { makeBundle } from './bundle.mjs';
import { TRAIN_FLAGS } from './own-node.mjs';

const root = new URL('..', import.meta.url);
const dist = new URL('dist/', root);

const common = {
  absWorkingDir: fileURLToPath(root),
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  target: 'node24',
  jsx: 'automatic',
  // Less code to compile at every start; names are kept for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: 'warning',
  external: ['better-sqlite3', 'openpgp', 'react-devtools-core'],
};

const production = { 'process.env.NODE_ENV': '"production"' };

const DAY_MS = 24 * 60 * 60 * 1000;

/** Removes earlier output, but chunks only after a month: an attached command loads its chunks when it needs them. */
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

// Modules: programs whose start time does not matter.
await build({
  ...common,
  entryPoints: { fixtures: 'fixtures/images/main.ts', bench: 'test/bench/main.ts' },
  splitting: true,
  format: 'esm',
  sourcemap: 'linked',
  define: production,
  banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
});

/**
 * The dashboard's layout library and Ink await at their top level, which a script cannot. Instead, the layout library is initialised
 * before the dashboard is loaded, and Ink's connection to developer tools is removed. esbuild refuses any other package that awaits.
 */
const dashboardInside = {
  name: 'dashboard-inside',
  setup: ({ onResolve, onLoad }) => {
    // Relative: an absolute path would be in the hash of the chunk, and so in its name.
    const layout = './node_modules/yoga-layout/dist/src/index.js';
    onLoad({ filter: /\/yoga-layout\/dist\/src\/index\.js$/ }, async ({ path }) => ({
      contents: replaced(
        await readFile(path, 'utf8'),
        /^const Yoga = wrapAssembly\(await loadYoga\(\)\);\nexport default Yoga;$/m,
        // A live binding: importers see the assigned value.
        'let Yoga; export const ready = async () => { Yoga ??= wrapAssembly(await loadYoga()); }; export { Yoga as default };',
      ),
    }));
    onLoad({ filter: /\/ink\/build\/reconciler\.js$/ }, async ({ path }) => ({
      contents: replaced(await readFile(path, 'utf8'), /^if \(process\.env\['DEV'\] === 'true'\) \{$.*?^\}$/gms, ''),
    }));
    onResolve({ filter: /\/run-(dashboard|stacks)\.tsx$/ }, ({ namespace, path }) =>
      namespace === 'ready' ? undefined : { path: /run-(\w+)\.tsx$/.exec(path)[1], namespace: 'ready' },
    );
    onLoad({ filter: /.*/, namespace: 'ready' }, ({ path }) => {
      const name = `run${path[0].toUpperCase()}${path.slice(1)}`;
      return {
        contents: `import { ready } from ${JSON.stringify(layout)};
        export const ${name} = async (...args) => {
          await ready();
          return (await import('./cli/dashboard/run-${path}.tsx')).${name}(...args);
        };`,
        resolveDir: fileURLToPath(root),
      };
    });
  },
};

const replaced = (text, pattern, by) => {
  if (!pattern.test(text)) {
    throw new Error(`a package of the dashboard has changed: ${pattern} is not in it`);
  }
  return text.replace(pattern, by);
};

// The entry scripts.
await build({
  ...common,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  entryPoints: { start: 'cli/entry/start.ts', supervisor: 'engine/process/supervisor-start.ts', 'load-bundle': 'base/host/load-bundle.ts' },
});

/**
 * The database's script without its search for the native part: the generic one reads /proc/self/maps to find the C library and
 * searches for a local build at every start. The native parts for both C libraries are copied beside the bundles.
 */
const databaseInside = {
  name: 'database-inside',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^better-sqlite3$/ }, () => ({ path: 'database', namespace: 'database' }));
    onLoad({ filter: /.*/, namespace: 'database' }, () => ({
      contents: `module.exports = require('./database.js')(() => {
          try {
            return require('./database.node');
          } catch (error) {
            try {
              return require('./database-musl.node');
            } catch {
              throw error;
            }
          }
        }, false);
        module.exports.SqliteError = require('./sqlite-error.js');`,
      resolveDir: join(databasePackage, 'lib'),
    }));
    // Resolved from dist/start.cjs, as bundles do.
    onResolve({ filter: /\.node$/ }, ({ path }) => ({ path, external: true }));
  },
};

const databasePackage = join(fileURLToPath(root), 'node_modules', 'better-sqlite3');
for (const [from, to] of [
  ['linux-x64.node', 'database.node'],
  ['linuxmusl-x64.node', 'database-musl.node'],
]) {
  await copyFile(join(databasePackage, 'prebuilds', from), new URL(to, dist));
}

// The bundles that they run. The code for commands on a running stack is in one file, because most commands need nothing else.
const options = { ...common, external: ['react-devtools-core', 'openpgp'], define: production, plugins: [dashboardInside, databaseInside] };
const core = ['cli/entry/run.ts', 'cli/entry/wiring.ts', 'cli/commands/exec.ts', 'cli/commands/ps.ts', 'cli/commands/logs.ts'];
core.push('compose/load/load.ts', 'engine/index.ts', 'engine/client/stack-client.ts');
const chunks = await makeBundle({ dist: fileURLToPath(dist), name: 'hypr', entry: 'cli/entry/bundle.ts', core, options });
// For packing: the other chunks in the folder are of earlier builds.
await writeFile(new URL('built.json', dist), JSON.stringify({ chunks }));
// One file, because a supervisor runs for months, and a chunk loaded later might belong to another version.
await makeBundle({ dist: fileURLToPath(dist), name: 'supervise', entry: 'engine/process/bundle.ts', core: undefined, options });

// A separate process, because it runs the product, with its own home. Its flags, and one thread for everything: the caches are the same each time.
const { status } = spawnSync(process.execPath, [...TRAIN_FLAGS, fileURLToPath(new URL('train.mjs', import.meta.url))], {
  stdio: ['ignore', 'ignore', 'inherit'],
  env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
});
if (status !== 0) {
  process.stderr.write('warning: there is no code cache, so every start takes longer\n');
}
