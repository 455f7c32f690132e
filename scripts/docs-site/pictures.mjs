// `npm run pictures [-- FOLDER]`: takes the README's pictures of the index page again, from real machines in a real browser; docs/pictures unless said otherwise.
import { join, resolve } from 'node:path';
import { ensureBuilt } from '../ensure-built.mjs';
import { root, run } from '../own-node.mjs';

await ensureBuilt();
await run(join(root, 'bin', 'hypr'), ['setup'], { stdio: ['ignore', 'ignore', 'inherit'] });
await run(process.execPath, [join(root, 'test', 'pictures', 'main.ts'), resolve(process.argv[2] ?? join(root, 'docs', 'pictures'))]);
