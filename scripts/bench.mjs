// `npm run bench [-- cli|setup|boot|boots|pull|shop …]`: figures as JSON lines on stdout.
import { join } from 'node:path';
import { ensureBuilt, ensureDependencies, root, run } from './bootstrap.mjs';

await ensureDependencies();
await ensureBuilt();
await run(join(root, 'bin', 'hypr'), ['setup'], { stdio: ['ignore', 'ignore', 'inherit'] });
await run(process.execPath, [join(root, 'dist', 'bench.js'), ...process.argv.slice(2)]);
