// Makes the code caches of dist/: runs what most commands run, and keeps what V8 compiled for it. Run by build.mjs in a process of its own.
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const requireFrom = createRequire(join(dist, 'start.cjs'));
const { loadBundle } = requireFrom('./load-bundle.cjs');

/** Nothing real is touched: not the user's stacks, nor what the environment points at. */
const home = await mkdtemp(join(tmpdir(), 'hypr-train-'));
for (const name of Object.keys(process.env)) {
  if (/^(HYPR|COMPOSE|DOCKER)_/.test(name)) {
    delete process.env[name];
  }
}
Object.assign(process.env, { HYPR_HOME: home, HYPR_RUNTIME_DIR: join(home, 'run') });

// What was compiled and not used for a while would be forgotten again. Set back at the end: a cache is only good for the same flags.
// And what was hot here, which is most of it after twenty commands, would be compiled to machine code again at every start.
const TRAINING = ['flush-bytecode', 'sparkplug', 'maglev', 'opt'];
for (const flag of TRAINING) {
  setFlagsFromString(`--no-${flag}`);
}

/** The stack `p` as a supervisor serves it, without machines. */
const serveStack = async ({ apiMethods, serveApi, stackPaths, openStateStore, StackSupervisor, openPlatform }) => {
  await openPlatform({ runDir: home }).catch(() => {});
  const { runDir, apiSocket } = stackPaths('p');
  await mkdir(runDir, { recursive: true, mode: 0o700 });
  const store = openStateStore(join(home, 'hypr.db'));
  const platform = { paths: { logs: join(home, 'logs'), home }, runDir, cores: 1 };
  const supervisor = new StackSupervisor({ stack: 'p', store, platform });
  await supervisor.recover(new AbortController().signal);
  const server = await serveApi(apiSocket, apiMethods(supervisor, { version: '0', stack: 'p', recovered: [] }), () => {});
  return async () => {
    await server.close();
    await supervisor.release();
    store.close();
  };
};

/** Command lines after `hypr compose`. That some fail for want of a machine is as good: the way there is what counts. */
const WITH_SUPERVISOR = ['ps', 'ps -q', 'logs', 'exec -T web true', 'exec -T nope true', 'stop', 'run --rm -T web true'];
const WITHOUT = ['version', 'config', 'config -q', 'ps', 'ls', 'logs', 'down', 'images -q'];

const runCommands = async ({ runCli, createContext, Interrupts, Terminal }, lines) => {
  const sink = () => Object.assign(new Writable({ write: (_chunk, _encoding, done) => done() }), { columns: 80 });
  for (const line of lines) {
    const stdin = new PassThrough();
    stdin.end();
    const context = createContext({ terminal: new Terminal(), interrupts: new Interrupts(), output: sink });
    const streams = { stdin, stdout: sink(), stderr: sink(), cwd: home };
    await runCli(['compose', '-p', 'p', '-f', join(home, 'compose.yaml'), ...line.split(' ')], { ...context, ...streams });
  }
};

const keep = async ({ path, script }) => {
  const text = await readFile(path, 'latin1');
  const aside = `${path}.cache.${process.pid}`;
  await writeFile(aside, Buffer.concat([Buffer.from(text.slice(-64), 'latin1'), script.createCachedData()]));
  await rename(aside, `${path}.cache`);
};

try {
  await writeFile(join(home, 'compose.yaml'), await readFile(join(dirname(fileURLToPath(import.meta.url)), 'warm-up.yaml')));
  const cli = loadBundle(dist, 'hypr', requireFrom);
  const supervise = loadBundle(dist, 'supervise', requireFrom);
  const parts = await cli.exports.parts();
  await runCommands(parts, WITHOUT);
  const close = await serveStack(supervise.exports);
  await runCommands(parts, WITH_SUPERVISOR);
  await close();
  for (const flag of TRAINING) {
    setFlagsFromString(`--${flag}`);
  }
  for (const script of [...cli.scripts, ...supervise.scripts]) {
    await keep(script);
  }
} finally {
  await rm(home, { recursive: true, force: true });
}
