// `npm run soak -- [--minutes N] [--seed N]`: stacks and what happens to them at random, in a home of its own: commands in any order, commands that are
// killed, processes that are killed, a host that sleeps. After each step: nothing acknowledged is lost, no error but those of the catalogue. At the
// end, when all is down: no process, machine, volume or lease is left. Exit code 1 and the steps that led there when something is wrong.
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt } from '../ensure-built.mjs';
import { root, run } from '../own-node.mjs';
import { serveFixtures } from '../serve-fixtures.mjs';
import { numbers } from './random.mjs';
import { SoakHome } from './soak-home.mjs';
import { SoakStack } from './soak-stack.mjs';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));

const random = numbers(seed);
const below = (count) => Math.floor(random() * count);
const pick = (list) => list[below(list.length)];

/** Each step: how often, against others, and what it does. */
const STEPS = [
  [6, 'up', (stack) => stack.up()],
  [3, 'down', (stack) => stack.down()],
  [1, 'down -v', (stack) => stack.down('-v')],
  [8, 'write', (stack) => stack.write()],
  [6, 'read', (stack) => stack.read()],
  [2, 'restart', (stack) => stack.must('restart', '-t', '1')],
  [2, 'stop', (stack) => stack.must('stop', '-t', '1')],
  [2, 'scale', (stack) => stack.up('--scale', `web=${1 + below(3)}`)],
  [2, 'suspend and resume', (stack) => stack.suspend()],
  [1, 'pause and unpause', (stack) => stack.pause()],
  [2, 'run', (stack) => stack.run()],
  [2, 'logs', (stack) => stack.must('logs', '--tail', '5')],
  [4, 'kill a process', (stack) => stack.afterwards(() => stack.home.killOne(pick))],
  [
    3,
    'kill a command',
    (stack) =>
      stack.afterwards(() =>
        stack.killCommand(
          pick([
            ['up', '-d'],
            ['down', '-t', '1', '--remove-orphans'],
            ['restart', '-t', '1'],
          ]),
          below(4000),
        ),
      ),
  ],
  [1, 'the host sleeps', (stack) => stack.afterwards(() => stack.home.sleep(5000 + below(20_000)))],
];
const BAG = STEPS.flatMap(([weight, name, work]) => Array.from({ length: weight }, () => ({ name, work })));

const folder = await realpath(await mkdtemp(join(tmpdir(), 'hypr-soak-')));
const home = new SoakHome(join(folder, 'home'), join(folder, 'run'));
const taken = [];
await ensureBuilt();
await run(join(root, 'bin', 'hypr'), ['setup']);
const registry = await serveFixtures(['busybox']);
try {
  await mkdir(home.dir, { mode: 0o700 });
  await mkdir(home.runtime, { mode: 0o700 });
  await symlink(await realpath(join(process.env.HYPR_HOME ?? join(homedir(), '.hypr'), 'toolchain')), join(home.dir, 'toolchain'));
  home.env.HYPR_REGISTRY_MIRRORS = registry.mirrors;
  for (const name of ['one', 'two', 'three']) {
    const dir = join(folder, name);
    await mkdir(dir);
    await writeFile(join(dir, 'compose.yaml'), SoakStack.compose(name));
    home.add(new SoakStack(home, name, dir));
  }
  console.log(`seed ${seed}, ${values.minutes} minutes, ${folder}`);
  const until = Date.now() + Number(values.minutes) * 60_000;
  while (Date.now() < until) {
    const [stack, { name, work }] = [pick(home.stacks), pick(BAG)];
    const began = Date.now();
    taken.push(`${stack.name}: ${name}`);
    await work(stack);
    console.log(`${taken.length} ${stack.name}: ${name} ${((Date.now() - began) / 1000).toFixed(1)} s; ${home.measure()}`);
  }
  for (const stack of home.stacks) {
    await stack.down('-v');
  }
  await home.mustBeEmpty();
  console.log(`nothing is left, and nothing was lost in ${taken.length} steps`);
} catch (error) {
  process.exitCode = 1;
  console.log(`FAILED after:\n${taken.slice(-12).join('\n')}\n${error.stack}\nseed ${seed}; ${folder} is kept`);
} finally {
  for (const stack of home.stacks) {
    await stack.hypr('down', '-v', '-t', '1', '--remove-orphans');
  }
  home.killAll();
  await registry.close();
  if (process.exitCode !== 1) {
    await rm(folder, { recursive: true, force: true });
  }
}
