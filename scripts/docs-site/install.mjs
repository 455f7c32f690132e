import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from '../own-node.mjs';

const here = join(root, 'scripts', 'docs-site');

/** The packages of package-lock.json here, once. */
export const installSite = async () => {
  const lock = readFileSync(join(here, 'package-lock.json'), 'utf8');
  const mark = join(here, 'node_modules', '.installed');
  if (!existsSync(mark) || readFileSync(mark, 'utf8') !== lock) {
    await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: here });
    writeFileSync(mark, lock);
  }
};
