// What every command of a fresh clone does first, with nothing but Node: dependencies, then the bundle.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamps = join(root, 'node_modules', '.hypr');

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

/** Installs the dependencies when the lock file changed; better-sqlite3 compiles where no binary can be downloaded. */
export const ensureDependencies = async () => {
  const wanted = hash([join(root, 'package-lock.json')]);
  await once('dependencies', wanted, async () => {
    process.stderr.write('Installing dependencies (about a minute the first time)…\n');
    // Not `npm ci`: it refuses a lock file when a registry lacks an optional package of another platform.
    await run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], { env: installEnv() });
  });
};

/** Bundles the sources when they changed. */
export const ensureBuilt = async () => {
  await once('build', hash(sources()), () => run(process.execPath, ['scripts/build.mjs']), [
    join(root, 'dist', 'hypr.cjs'),
    join(root, 'dist', 'start.cjs'),
  ]);
};

/** Node's own headers, where they lie beside it, spare node-gyp a download. */
const installEnv = () => {
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include', 'node', 'node.h'));
  return headers ? { ...process.env, npm_config_nodedir: prefix } : process.env;
};

/** Does `work` unless a stamp says it was done for the same input; two processes do it one after the other. */
const once = async (name, wanted, work, products = []) => {
  const stamp = join(stamps, name);
  const isDone = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && products.every((path) => existsSync(path));
  if (isDone()) {
    return;
  }
  const lock = join(root, `.${name}.lock`);
  const release = await takeLock(lock);
  try {
    if (!isDone()) {
      await work();
      mkdirSync(stamps, { recursive: true });
      writeFileSync(stamp, wanted);
    }
  } finally {
    release();
  }
};

const STALE_MS = 15 * 60_000;

const takeLock = async (path) => {
  for (;;) {
    try {
      mkdirSync(path);
      return () => rmdirSync(path);
    } catch (error) {
      if (error.code !== 'EEXIST') {
        throw error;
      }
      if (Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > STALE_MS) {
        rmdirSync(path);
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
};

const sources = () =>
  ['base', 'compose', 'guest', 'vmm', 'net', 'builder', 'engine', 'cli', 'fixtures', 'scripts']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.(ts|tsx|mjs|json|c|h)$/.test(entry.name) && !entry.parentPath.includes('node_modules'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .concat(join(root, 'package-lock.json'));

const hash = (files) => {
  const sum = createHash('sha256');
  for (const file of files) {
    sum.update(file).update('\0').update(readFileSync(file)).update('\0');
  }
  return sum.digest('hex');
};
