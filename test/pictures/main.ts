// The pictures of the README: `node main.ts FOLDER`, see scripts/docs-site/pictures.mjs.
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { homePaths } from '../../base/paths.ts';
import { serveFixtures } from '../../scripts/serve-fixtures.mjs';
import { type BrowserPage, launchChromium } from '../support/browsers.ts';
import { mustHypr, root } from '../support/cli.ts';
import { fetchDebianRoot } from '../support/debian/debian-root.ts';
import { freePort } from '../support/free-port.ts';
import { openTestHome } from '../support/test-home.ts';

const SIZES = [
  { name: 'index-light', width: 1280, height: 800, dark: false },
  { name: 'index-dark', width: 1280, height: 800, dark: true },
  { name: 'index-phone', width: 360, height: 740, dark: false },
  { name: 'index-4k', width: 3840, height: 2160, dark: true },
] as const;

/** Folders of the fixtures and the projects that they come up as. */
const STACKS = [
  ['shop', 'shop'],
  ['shop', 'shop-feature-x'],
  ['hello', 'hello'],
] as const;

const takePictures = async (to: string): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-pictures-'));
  const home = await openTestHome();
  const registry = await serveFixtures();
  const port = await freePort();
  const env = { HYPR_HOME: home.dir, HYPR_REGISTRY_MIRRORS: registry.mirrors, HYPR_EDGE_PORT: String(port), HYPR_DNS_PORT: '0' };
  let page: BrowserPage | undefined;
  try {
    for (const [from, project] of STACKS) {
      await cp(join(root, 'fixtures', from), join(folder, project), { recursive: true });
      await mustHypr(['compose', '-p', project, 'up', '-d', '--wait', '--ports', 'auto'], {
        cwd: join(folder, project),
        env,
        timeout: 600_000,
      });
    }
    page = await launchChromium({ root: await fetchDebianRoot(homePaths().cache), home: folder });
    await page.open(`http://localhost:${port}/`);
    await page.evaluate(
      `new Promise((resolve) => setInterval(() => document.querySelectorAll('section').length === ${STACKS.length} && resolve(true), 100))`,
    );
    await mkdir(to, { recursive: true });
    for (const { name, ...size } of SIZES) {
      await writeFile(join(to, `${name}.png`), await page.screenshot(size));
      process.stdout.write(`${join(to, `${name}.png`)}\n`);
    }
  } finally {
    await page?.close();
    await home.close();
    await registry.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
};

await takePictures(process.argv[2] ?? '');
