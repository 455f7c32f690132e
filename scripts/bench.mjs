// `npm run bench [-- cli|config|compose|hostile|setup|boot|boots|pull|pull-files|build|registry|shop|edge|api|names|network|kvm …|start|ui]`: figures as JSON lines on stdout.
import { join } from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { root, run } from './own-node.mjs';

await ensureBuilt();
// What only loads Compose files needs no toolchain.
const wanted = process.argv.slice(2);
if (wanted.length === 0 || wanted.some((name) => !['config', 'compose', 'hostile', 'edge'].includes(name))) {
  await run(join(root, 'bin', 'hypr'), ['setup'], { stdio: ['ignore', 'ignore', 'inherit'] });
}
await run(process.execPath, [join(root, 'dist', 'bench.js'), ...wanted]);
