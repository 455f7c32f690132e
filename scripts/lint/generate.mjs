// `npm run generate`: writes everything that is checked in and made from tables of the code.
import { join } from 'node:path';
import { root, run } from '../own-node.mjs';

for (const [script, ...args] of [['generate-protocol.mjs'], ['lint/write-docs.mjs'], ['lint/check-house.mjs', '--write']]) {
  await run(process.execPath, [join(root, 'scripts', script), ...args]);
}
