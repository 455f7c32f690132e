// The first step of every script that runs the product.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hash, once } from './once.mjs';
import { requireOwnNode, root, run } from './own-node.mjs';

/** Bundles the sources when they changed. */
export const ensureBuilt = async () => {
  requireOwnNode('npm start, npm test or npm run bench');
  const products = [join(root, 'dist', 'hypr.cjs'), join(root, 'dist', 'start.cjs')];
  await once({ root, name: 'build', wanted: hash(sources()), products }, () => run(process.execPath, ['scripts/build.mjs']));
};

const sources = () =>
  ['base', 'compose', 'guest', 'vmm', 'net', 'builder', 'engine', 'cli', 'fixtures', 'scripts']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.(ts|tsx|mjs|json|c|h)$/.test(entry.name) && !entry.parentPath.includes('node_modules'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .concat(join(root, 'package-lock.json'));
