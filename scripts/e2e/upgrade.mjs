// `npm run test:upgrade -- REVISION…`: plays the upgrade of a user, once for each older revision of this repository. What it brought up is met by
// the hypr of this checkout: ps, logs, exec, up, scale, stop, start, suspend, resume, down, with the data of a volume at the end. Takes minutes, most
// of them to build the older one. Exit code 1 when a step failed.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureBuilt } from '../ensure-built.mjs';
import { root, run } from '../own-node.mjs';
import { serveFixtures } from '../serve-fixtures.mjs';

const COMPOSE = `name: upgrade
services:
  web:
    image: busybox
    command: sh -c 'echo started; exec sleep infinity'
    volumes: [data:/data]
    restart: always
  other:
    image: busybox
    command: sh -c 'while sleep 1; do echo tick; done'
volumes: {data: {}}
`;

const BOOT = '/proc/sys/kernel/random/boot_id';
const STEP_MS = 300_000;

/** Whose hypr, the command, and what must be in its output; `same` when that is the same as at the first such step. */
const STEPS = [
  ['old', 'compose up -d --wait'],
  ['old', 'compose exec -T web sh -c', /^$/, 'echo kept > /data/file; sync'],
  ['old', `compose exec -T web cat ${BOOT}`, 'same'],
  ['new', 'compose ps', /upgrade-web-1 .* Up /],
  ['new', `compose exec -T web cat ${BOOT}`, 'same'],
  ['new', 'compose logs web', /started/],
  ['new', 'compose up -d'],
  ['new', `compose exec -T web cat ${BOOT}`, 'same'],
  ['old', 'compose ps', /upgrade-web-1 .* Up /],
  ['new', 'compose up -d --scale other=2'],
  ['new', 'compose stop -t 1 other'],
  ['new', 'compose start other'],
  ['new', 'compose suspend'],
  ['new', 'compose resume'],
  ['new', `compose exec -T web cat ${BOOT}`, 'same'],
  ['new', 'system check', /^$/],
  ['new', 'volume ls', /upgrade_data/],
  ['new', 'compose down -t 1'],
  ['new', 'compose up -d'],
  ['new', 'compose exec -T web cat /data/file', /^kept\n$/],
  ['new', 'compose down -v -t 1'],
];

const hyprOf = (tree) => join(tree, 'bin', 'hypr');

const output = async (file, args, options) => {
  try {
    const { stdout } = await promisify(execFile)(file, args, { ...options, timeout: STEP_MS });
    return { stdout };
  } catch (error) {
    return { stdout: error.stdout ?? '', failure: `${error.stderr ?? ''}${error.message}` };
  }
};

/** Whether every step did what it should; says so of each. */
const play = async (trees, options) => {
  let first;
  for (const [who, command, wanted = /(?:)/, more] of STEPS) {
    const args = [...command.split(' '), ...(more === undefined ? [] : [more])];
    const { stdout, failure } = await output(hyprOf(trees[who]), args, options);
    first ??= wanted === 'same' ? stdout : undefined;
    const isRight = failure === undefined && (wanted === 'same' ? stdout === first : wanted.test(stdout));
    console.log(`${isRight ? 'ok    ' : 'FAILED'} ${who}: hypr ${args.join(' ')}`);
    if (!isRight) {
      console.log(failure ?? stdout);
      return false;
    }
  }
  return true;
};

const upgradeFrom = async (revision, mirrors) => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'hypr-upgrade-')));
  const [old, home, project] = ['old', 'home', 'project'].map((name) => join(folder, name));
  const env = { ...process.env, HYPR_HOME: home, HYPR_RUNTIME_DIR: join(folder, 'run'), HYPR_REGISTRY_MIRRORS: mirrors };
  const options = { cwd: project, env };
  try {
    await run('git', ['-C', root, 'worktree', 'add', '--detach', old, revision]);
    await run(process.execPath, [join(old, 'scripts', 'bootstrap.mjs'), 'build'], { cwd: old });
    await mkdir(project);
    await mkdir(env.HYPR_RUNTIME_DIR);
    await writeFile(join(project, 'compose.yaml'), COMPOSE);
    // What was downloaded is taken along; what the older one compiles or boots, it makes itself.
    const known = join(process.env.HYPR_HOME ?? join(homedir(), '.hypr'), 'toolchain');
    await cp(known, join(home, 'toolchain'), { recursive: true, verbatimSymlinks: true });
    await run(hyprOf(old), ['setup'], options);
    return await play({ old, new: root }, options);
  } finally {
    await output(hyprOf(root), ['compose', 'down', '-v', '-t', '1'], options);
    await run('git', ['-C', root, 'worktree', 'remove', '--force', old]).catch(() => {});
    await rm(folder, { recursive: true, force: true });
  }
};

const revisions = process.argv.slice(2);
if (revisions.length === 0) {
  console.error('write the older revisions: npm run test:upgrade -- HEAD~20');
  process.exit(2);
}
await ensureBuilt();
await run(hyprOf(root), ['setup']);
const registry = await serveFixtures(['busybox']);
try {
  for (const revision of revisions) {
    console.log(`== from ${revision}`);
    if (!(await upgradeFrom(revision, registry.mirrors))) {
      process.exitCode = 1;
    }
  }
} finally {
  await registry.close();
}
