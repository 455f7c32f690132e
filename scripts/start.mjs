// `npm start`: set-up, then the demo stack. On a terminal it stays attached; otherwise it starts
// the stack in the background, fetches its page and prints further commands.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureBuilt } from './ensure-built.mjs';
import { withFixtureImages } from './fixture-images.mjs';
import { root, run } from './own-node.mjs';

const hypr = join(root, 'bin', 'hypr');
const file = join(root, 'fixtures', 'shop', 'compose.yaml');
const port = process.env.SHOP_PORT ?? '8080';
const NAMES = ['nginx', 'postgres', 'redis', 'node'];
const REFERENCES = ['nginx:1.26', 'postgres:17', 'redis:8', 'node:20', 'node:20-slim'];

const attached = () => run(hypr, ['compose', '-f', file, 'up'], { stdio: 'inherit' });

const detached = async (env) => {
  await run(hypr, ['compose', '-f', file, 'up', '-d', '--wait'], { env: { ...process.env, ...env } });
  const url = `http://127.0.0.1:${port}/`;
  const response = await fetch(url, { signal: AbortSignal.timeout(30_000) });
  const page = await response.text();
  if (!response.ok) {
    throw new Error(`${url} answered ${response.status}:\n${page}`);
  }
  console.log(`\n${url} answered ${response.status}:\n\n${page.trim()}\n`);
  const named = await nameOf('web');
  console.log(`The stack is up. ${named === undefined ? '' : `In a browser: ${named}\n`}Go on with:
  bin/hypr compose -f fixtures/shop/compose.yaml ps
  bin/hypr compose -f fixtures/shop/compose.yaml logs -f
  bin/hypr compose -f fixtures/shop/compose.yaml exec db psql -U shop -c 'select * from products'
  bin/hypr setup --browser    # https://web.shop.hypr/ in browsers
  bin/hypr compose -f fixtures/shop/compose.yaml down`);
};

/** The address that works now: the port of names is another one where 7080 is taken. Undefined where there is none. */
const nameOf = async (service) => {
  try {
    const { stdout } = await promisify(execFile)(hypr, ['compose', '-f', file, 'url', service], { timeout: 30_000 });
    return stdout.trim();
  } catch {
    return undefined;
  }
};

try {
  await ensureBuilt();
  await run(hypr, ['setup']);
  await withFixtureImages(NAMES, REFERENCES, async (env) => {
    if (process.stdin.isTTY && process.stdout.isTTY) {
      Object.assign(process.env, env);
      // Ctrl-C is for the attached hypr, which takes the stack down and then ends.
      process.on('SIGINT', () => {});
      await attached();
    } else {
      await detached(env);
    }
  });
} catch (error) {
  console.error(error.exitCode === undefined ? error : error.message);
  process.exitCode = error.exitCode ?? 1;
}
