// `npm run docs`: the pages of docs/ as a site in dist/site, by Eleventy, and every link of it followed. Fails for a dead link, and for a
// command or an error that no page has.
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from '../own-node.mjs';
import { checkSite } from './check-links.mjs';
import { installSite } from './install.mjs';

const here = join(root, 'scripts', 'docs-site');
const pages = join(root, 'dist', 'site-pages');
const site = join(root, 'dist', 'site');

/** As in the repository, so that links between pages are the same here and there. */
const gather = () => {
  for (const folder of [pages, site]) {
    rmSync(folder, { recursive: true, force: true });
  }
  mkdirSync(pages, { recursive: true });
  for (const name of ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'LICENSE', 'docs']) {
    cpSync(join(root, name), join(pages, name), { recursive: true });
  }
  cpSync(join(here, 'layout.html'), join(pages, '_includes', 'layout.html'), { recursive: true });
};

await installSite();
gather();
await run(
  process.execPath,
  [join(here, 'node_modules', '@11ty', 'eleventy', 'cmd.cjs'), `--config=${join(here, 'eleventy.config.mjs')}`, '--quiet'],
  {
    cwd: pages,
  },
);
const faults = await checkSite(site);
for (const fault of faults) {
  console.error(fault);
}
console.log(faults.length === 0 ? `the site is in ${site}: no dead link, every command, every error` : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
