// `npm run lint`: each part also after another has failed, so that one run says all there is to do.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run } from '../own-node.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', name);
const script = (name) => [process.execPath, [join(root, 'scripts', 'lint', name)]];

/** What is checked, and what to do where it fails. */
const PARTS = [
  [
    'layout and style (biome)',
    bin('biome'),
    ['check', '.'],
    '`npm run format` mends layout and the order of imports; what is left after it is said above',
  ],
  ['the types (tsc)', bin('tsc'), ['--noEmit'], 'mend the types at the lines above'],
  [
    'the house',
    ...script('check-house.mjs'),
    'the rules are in CONTRIBUTING.md under "The house"; a new folder is a row of scripts/lint/house.mjs',
  ],
  ['the includes of C', ...script('c-rooms.mjs'), 'the rooms of C, low first, are at the top of scripts/lint/c-rooms.mjs'],
];

/** Resolves when all parts pass; rejects, after all of them, with what to do about those that do not. */
export const lint = async () => {
  const faults = [];
  for (const [name, file, args, todo] of PARTS) {
    await run(file, args).catch(() => faults.push(`${name}: ${todo}`));
  }
  if (faults.length > 0) {
    throw Object.assign(new Error(`lint failed in\n${faults.map((fault) => `  ${fault}\n`).join('')}`), { exitCode: 1 });
  }
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await lint().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
