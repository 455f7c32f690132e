// `npm run e2e:compose -- --suite FILE --tree FOLDER [--run REGEX]`: docker compose's own end-to-end suite against hypr.
//
// FILE is the suite's compiled test program and FOLDER the work tree it was compiled from. Each test runs alone with a time limit in
// a network namespace of its own, where nothing but a registry of stand-in images can be reached. `docker` and `docker-compose` in its
// PATH are this clone's hypr: the shim adds the settings of this process's hypr, which the suite takes from the environment, and
// hands the arguments on as they are. The provider of the suite's tests is allowed, as its user would.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { serveStandIns } from './e2e/images.mjs';
import { describe, printTable, readResult } from './e2e/results.mjs';
import { root } from './own-node.mjs';

const USAGE = 'usage: npm run e2e:compose -- --suite FILE --tree FOLDER [--run REGEX] [--limit SECONDS] [--out FOLDER] [--jobs N]\n';
const NAMESPACE = join(dirname(fileURLToPath(import.meta.url)), 'e2e', 'in-namespace.mjs');
const KILL_AFTER_MS = 20_000;

const main = async () => {
  const { values } = parseArgs({
    options: {
      suite: { type: 'string' },
      tree: { type: 'string' },
      run: { type: 'string', default: '.' },
      limit: { type: 'string', default: '240' },
      jobs: { type: 'string', default: '1' },
      out: { type: 'string' },
    },
  });
  if (values.suite === undefined || values.tree === undefined) {
    process.stderr.write(USAGE);
    return 2;
  }
  const folder = await mkdtemp(join(tmpdir(), 'hypr-e2e-'));
  const images = await serveStandIns(join(folder, 'registry.sock'));
  try {
    const setting = {
      suite: resolve(values.suite),
      cwd: join(resolve(values.tree), 'pkg', 'e2e'),
      limit: Number(values.limit),
      folder,
      socket: images.socket,
      out: resolve(values.out ?? join(folder, 'logs')),
    };
    await mkdir(setting.out, { recursive: true });
    await writeShim(join(folder, 'bin'));
    // The suite wants the caller's to be there.
    await mkdir(join(folder, '.docker'));
    await writeFile(join(folder, '.docker', 'config.json'), '{}');
    // So that what an earlier run pulled does not stand for what is served now.
    await outputOf(join(folder, 'bin', 'docker'), ['rmi', '-f', ...images.names]).catch(() => {});
    const names = await listTests(setting, values.run);
    const rows = await runAll(names, setting, Number(values.jobs));
    await takeDownAll(join(folder, 'bin', 'docker-compose'));
    printTable(rows);
    return rows.every(({ outcome }) => outcome === 'pass') ? 0 : 1;
  } finally {
    await images.close();
    await rm(join(folder, 'bin'), { recursive: true, force: true });
    if (values.out !== undefined) {
      await rm(folder, { recursive: true, force: true });
    }
  }
};

/** docker and docker-compose: hypr with its own settings, which the suite's environment does not pass on. */
const writeShim = async (bin) => {
  await mkdir(bin);
  const settings = ['HYPR_HOME', 'HYPR_RUNTIME_DIR'].flatMap((name) =>
    process.env[name] === undefined ? [] : [`export ${name}='${process.env[name].replaceAll("'", "'\\''")}'\n`],
  );
  for (const [name, words] of [
    ['docker', ''],
    ['docker-compose', ' compose'],
  ]) {
    const text = `#!/bin/sh\n${settings.join('')}export HYPR_REGISTRY_MIRRORS=docker.io=http://127.0.0.1:5000 HYPR_PROVIDERS=example-provider\nexec '${join(root, 'bin', 'hypr')}'${words} "$@"\n`;
    await writeFile(join(bin, name), text);
    await chmod(join(bin, name), 0o755);
  }
};

const listTests = async ({ suite, cwd }, run) => {
  const text = await outputOf(suite, ['-test.list', run], cwd);
  return text.split('\n').filter((line) => line.startsWith('Test'));
};

const outputOf = (file, args, cwd) =>
  new Promise((done, fail) => {
    const child = spawn(file, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    child.once('error', fail);
    child.once('exit', (code) => (code === 0 ? done(text) : fail(new Error(`${file} ${args.join(' ')} ended with ${code}`))));
  });

const runAll = async (names, setting, jobs) => {
  const rows = new Map();
  const waiting = [...names];
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const row = await runOne(name, setting);
      rows.set(name, row);
      process.stderr.write(`${String(rows.size).padStart(4)}/${names.length} ${describe(row)}\n`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return names.map((name) => rows.get(name));
};

const runOne = async (name, setting) => {
  const log = join(setting.out, `${name}.log`);
  const began = Date.now();
  const isLate = await inNamespace(name, setting, log);
  return { name, seconds: Math.round((Date.now() - began) / 1000), ...readResult(await readFile(log, 'utf8'), isLate) };
};

/** What failed tests left behind. */
const takeDownAll = async (compose) => {
  for (const name of (await outputOf(compose, ['ls', '-aq'])).split('\n').filter(Boolean)) {
    // A hook that fails keeps its service from being stopped.
    await outputOf(compose, ['-p', name, 'kill']).catch(() => {});
    await outputOf(compose, ['-p', name, 'down', '-v', '--remove-orphans', '-t', '0']).catch((error) =>
      process.stderr.write(`${error.message}\n`),
    );
  }
};

/** Whether it had to be ended because its time was over. A session of its own is ended with all it started. */
const inNamespace = (name, { suite, cwd, limit, folder, socket }, log) =>
  new Promise((done, fail) => {
    const user = process.getuid() === 0 ? [] : ['--map-root-user'];
    const args = [
      ...user,
      '--net',
      process.execPath,
      NAMESPACE,
      socket,
      suite,
      '-test.v',
      `-test.run=^${name}$`,
      `-test.timeout=${limit}s`,
    ];
    const child = spawn('unshare', args, {
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${join(folder, 'bin')}:${process.env.PATH}`, HOME: folder },
    });
    const file = createWriteStream(log);
    child.stdout.pipe(file, { end: false });
    child.stderr.pipe(file, { end: false });
    let isLate = false;
    const timer = setTimeout(
      () => {
        isLate = true;
        process.kill(-child.pid, 'SIGKILL');
      },
      limit * 1000 + KILL_AFTER_MS,
    );
    child.once('error', fail);
    // Not 'close': machines that are left over hold the pipes.
    child.once('exit', () => {
      clearTimeout(timer);
      file.end(() => done(isLate));
    });
  });

process.exitCode = await main();
