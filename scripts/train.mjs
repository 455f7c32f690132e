// Makes the code caches of dist/: runs typical commands, and keeps the code that V8 compiled for them. build.mjs runs it as a separate process.
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const requireFrom = createRequire(join(dist, 'start.cjs'));
const { loadBundle } = requireFrom('./load-bundle.cjs');

/** The same in any folder, so that the caches are. Copied, because V8 keeps the whole path for a part of it. */
const fileName = (path) => Buffer.from(`file:///${basename(path)}`).toString();

/** Isolated from the user's stacks and from settings in the environment. */
const home = await mkdtemp(join(tmpdir(), 'hypr-train-'));
for (const name of Object.keys(process.env)) {
  if (/^(HYPR|COMPOSE|DOCKER)_/.test(name)) {
    delete process.env[name];
  }
}
Object.assign(process.env, { HYPR_HOME: home, HYPR_RUNTIME_DIR: join(home, 'run') });

// Keeps V8 from dropping compiled code that was not used for a while. Reset at the end, because a cache is only valid for the same flags.
// Without tier-up, because code that was hot here, which is most of it after twenty commands, would be optimised again at every start.
const TRAINING = ['flush-bytecode', 'sparkplug', 'maglev', 'opt'];
for (const flag of TRAINING) {
  setFlagsFromString(`--no-${flag}`);
}

/** Serves the stack `p` as a supervisor does, without machines. */
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

/** Command lines after `hypr compose`. Some fail without a machine, which does not matter: the code until then is cached. */
const WITH_SUPERVISOR = ['ps', 'ps -q', 'logs', 'exec -T web true', 'exec -T nope true', 'stop', 'run --rm -T web true'];
const WITHOUT = ['version', 'config', 'config -q', 'ps', 'ls', 'logs', 'down', 'images -q'];

const runCommands = async ({ runCli, createContext, Interrupts, Terminal }, lines) => {
  const sink = () => Object.assign(new Writable({ write: (_chunk, _encoding, done) => done() }), { columns: 80 });
  for (const line of lines) {
    const stdin = new PassThrough();
    stdin.end();
    const context = createContext({ terminal: new Terminal(), interrupts: new Interrupts(), output: sink });
    const streams = { stdin, stdout: sink(), stderr: sink(), cwd: home };
    // Without the first set-up, which would fetch a toolchain for this home.
    const engine = async () => ({ ...(await context.engine()), isSetUp: async () => true });
    await runCli(['compose', '-p', 'p', '-f', join(home, 'compose.yaml'), ...line.split(' ')], { ...context, ...streams, engine });
  }
};

const keep = async ({ path, script }) => {
  const text = await readFile(path, 'latin1');
  const staged = `${path}.cache.${process.pid}`;
  await writeFile(staged, Buffer.concat([Buffer.from(text.slice(-64), 'latin1'), script.createCachedData()]));
  await rename(staged, `${path}.cache`);
};

try {
  await writeFile(join(home, 'compose.yaml'), await readFile(join(dirname(fileURLToPath(import.meta.url)), 'warm-up.yaml')));
  const cli = loadBundle(dist, 'hypr', requireFrom, fileName);
  const supervise = loadBundle(dist, 'supervise', requireFrom, fileName);
  const parts = await cli.exports.parts();
  await runCommands(parts, WITHOUT);
  const close = await serveStack(supervise.exports);
  await runCommands(parts, WITH_SUPERVISOR);
  await close();
  // Without a stack it fails before it draws; only the loading matters here.
  const { runDashboard } = await parts.loadDashboard();
  await runDashboard({}).catch(() => {});
  for (const flag of TRAINING) {
    setFlagsFromString(`--${flag}`);
  }
  // Of TRAIN_FLAGS: what a cache is valid for has these as well.
  setFlagsFromString('--hash-seed=0');
  setFlagsFromString('--initial-old-space-size=0');
  for (const script of [...cli.scripts, ...supervise.scripts]) {
    await keep(script);
  }
} finally {
  await rm(home, { recursive: true, force: true });
}
