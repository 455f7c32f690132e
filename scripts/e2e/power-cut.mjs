// `npm run test:power-cut -- [--rounds N] [--seed N] [--only NAME]`: cuts the power of a home after operations that said they were done, and while they
// go on. What was told must be there afterwards and whole, what was not may be there or not, and `hypr system check` finds nothing, or
// `--repair` mends it. Needs root, for a loop device. Exit code 1 when something was lost.
import { spawn } from 'node:child_process';
import { mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ensureBuilt } from '../ensure-built.mjs';
import { root, run } from '../own-node.mjs';
import { serveFixtures } from '../serve-fixtures.mjs';
import { CASES, setUp } from './power-cut-cases.mjs';
import { PowerCutDisk } from './power-cut-disk.mjs';
import { numbers } from './random.mjs';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, seed: { type: 'string' }, only: { type: 'string', multiple: true } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const random = numbers(seed);
/** How long services may write before the power is cut, once each has written something; and how long that may take. */
const WRITE_MS = 4000;
const FIRST_MS = 120_000;

/** Starts an operation. `end` is its exit code as soon as it has one. */
const begin = (home, args) => {
  const child = spawn(join(root, 'bin', 'hypr'), args, { cwd: home.top, env: home.env, stdio: ['ignore', 'pipe', 'pipe'] });
  const begun = { child, printed: '', said: '', end: undefined };
  child.stdout.setEncoding('utf8').on('data', (text) => (begun.printed += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (begun.said += text));
  begun.ended = new Promise((resolve) =>
    child.once('exit', (code) => {
      begun.end = code ?? 1;
      resolve();
    }),
  );
  return begun;
};

/** Whatever the cut left, the check finds nothing or mends it, once. */
const checkHome = async (home) => {
  const first = await home.hypr(['system', 'check'], home.top);
  if (first.code !== 0) {
    const repaired = await home.hypr(['system', 'check', '--repair'], home.top);
    const again = await home.hypr(['system', 'check'], home.top);
    console.log(`    check: ${first.stdout}${first.stderr}    repaired: ${repaired.stdout}${repaired.stderr}`);
    if (again.code !== 0) {
      throw new Error(`system check --repair did not mend it:\n${again.stdout}${again.stderr}`);
    }
  }
};

/** One cut. `after`: how long after the operation's begin, in milliseconds; absent, after its end. Returns how long the operation took. */
const play = async (home, one, after) => {
  await one.prepare(home);
  home.calm();
  const began = Date.now();
  const begun = begin(home, one.args(home));
  for (const until = began + FIRST_MS; one.hasBegun?.(begun.printed) === false && begun.end === undefined && Date.now() < until; ) {
    await sleep(100);
  }
  await Promise.race([begun.ended, after === undefined ? begun.ended : sleep(after)]);
  const took = Date.now() - began;
  const [wasTold, printed] = [begun.end === 0, begun.printed];
  home.cut();
  if (begun.end !== undefined && begun.end !== 0) {
    throw new Error(`the operation failed before the cut:\n${printed}${begun.said}`);
  }
  console.log(`  ${one.name}: cut after ${took} ms, ${wasTold ? 'acknowledged' : 'in the middle'}`);
  await home.start();
  await checkHome(home);
  await one.check(home, wasTold, printed);
  return took;
};

const playAll = async (home) => {
  const unknown = values.only?.filter((only) => !CASES.some(({ name }) => name === only)) ?? [];
  if (unknown.length > 0) {
    throw new Error(`there is no case ${unknown.join(', ')}; there are: ${CASES.map(({ name }) => name).join(', ')}`);
  }
  for (const one of CASES.filter(({ name }) => values.only === undefined || values.only.includes(name))) {
    const longest = one.hasBegun ? WRITE_MS : await play(home, one);
    for (let round = 1; round < Number(values.rounds); round++) {
      await play(home, one, Math.round(random() * longest));
    }
  }
};

/** In a mount namespace of its own, so that no other process's namespace keeps the disk mounted. */
const inside = async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'hypr-power-')));
  const registry = await serveFixtures(['busybox', 'postgres']);
  const home = new PowerCutDisk(folder);
  try {
    home.env.HYPR_REGISTRY_MIRRORS = registry.mirrors;
    await symlink(await realpath(join(process.env.HYPR_HOME ?? join(homedir(), '.hypr'), 'toolchain')), join(home.dir, 'toolchain'));
    await setUp(home);
    console.log(`seed ${seed}, ${folder}`);
    await playAll(home);
    console.log('nothing that was acknowledged is lost');
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAILED: ${error.stack}\nseed ${seed}`);
  } finally {
    await home.close();
    await registry.close();
    await rm(folder, { recursive: true, force: true });
  }
};

if (process.getuid() !== 0) {
  console.error('it mounts a disk of its own, which only root may do');
  process.exitCode = 2;
} else if (process.env.HYPR_POWER_CUT_INSIDE === undefined) {
  await ensureBuilt();
  await run(join(root, 'bin', 'hypr'), ['setup']);
  const args = ['--mount', '--propagation', 'private', process.execPath, ...process.argv.slice(1)];
  await run('unshare', args, { env: { ...process.env, HYPR_POWER_CUT_INSIDE: '1' } }).catch((error) => {
    process.exitCode = error.exitCode ?? 1;
    if (error.exitCode === undefined) {
      console.error(`unshare: ${error.message}`);
    }
  });
} else {
  await inside();
}
