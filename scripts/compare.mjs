// `npm run compare:compose -- FILE…` (or `--generate N`): docker compose and hypr's loader on the same files.
// `npm run compare:build -- [--cases N]`: a docker engine and hypr on the same Dockerfiles.
// `npm run compare:docker`: a day of docker's commands with a docker engine and with hypr.
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { root } from './own-node.mjs';

const ENTRIES = { compose: 'test/compose/compare/main.ts', build: 'test/builder/compare/main.ts', docker: 'test/cli/compare/main.ts' };

const [what, ...args] = process.argv.slice(2);
const folder = await mkdtemp(join(root, 'node_modules', '.compare-'));
try {
  const outfile = join(folder, 'main.mjs');
  await build({
    absWorkingDir: root,
    entryPoints: [ENTRIES[what]],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'warning',
    banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
  });
  const { main } = await import(pathToFileURL(outfile).href);
  process.exitCode = await main(args, join(root, 'bin', 'hypr'));
} finally {
  await rm(folder, { recursive: true, force: true });
}
