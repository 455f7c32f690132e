// Bundles the CLI, the supervisor and the maker of fixture images into dist/. Split, so that `hypr config` never loads the UI or the database.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { Script } from 'node:vm';
import { build } from 'esbuild';

await rm(new URL('../dist', import.meta.url), { recursive: true, force: true });
await build({
  absWorkingDir: new URL('..', import.meta.url).pathname,
  entryPoints: {
    hypr: 'cli/main.ts',
    supervisor: 'engine/supervisor-main.ts',
    fixtures: 'fixtures/images/main.ts',
    bench: 'test/bench/main.ts',
  },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  jsx: 'automatic',
  sourcemap: 'linked',
  // Less to compile at every start; names stay, for stacks.
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: 'warning',
  external: ['better-sqlite3', 'react-devtools-core'],
  define: { 'process.env.NODE_ENV': '"production"' },
  banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
});

// `config` is run most and by tools: one file, without the engine and the other commands, and V8's code cache of it.
const config = new URL('../dist/config.cjs', import.meta.url);
const whole = {
  absWorkingDir: new URL('..', import.meta.url).pathname,
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: 'warning',
};
await build({ ...whole, entryPoints: { start: 'cli/start.ts', yaml: 'yaml' } });
await build({
  ...whole,
  entryPoints: { config: 'cli/config-main.ts' },
  banner: { js: '(function (module, require) {' },
  footer: { js: '})' },
  plugins: [
    {
      name: 'only-config',
      setup: ({ onResolve }) => {
        onResolve({ filter: /\/(engine\/index|commands\/[\w-]+)\.ts$/ }, ({ kind, path }) =>
          kind === 'dynamic-import' && !path.endsWith('/commands/config.ts') ? { path, external: true } : undefined,
        );
        // Few files need it.
        onResolve({ filter: /^yaml$/ }, () => ({ path: './yaml.cjs', external: true }));
      },
    },
  ],
});
const text = await readFile(config, 'utf8');
const script = new Script(text, { filename: config.pathname });
const bundle = { exports: {} };
script.runInThisContext()(bundle, createRequire(config));
await bundle.exports.warmUp(await readFile(new URL('warm-up.yaml', import.meta.url), 'utf8'));
await writeFile(new URL('config.cjs.cache', config), script.createCachedData());
