import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { homePaths } from '../../base/paths.ts';
import { connectGuest } from '../../guest/client/client.ts';
import { serveFixtures } from '../../scripts/serve-fixtures.mjs';
import { chooseVmm } from '../../vmm/host/probe.ts';
import { runProbeGuest } from '../../vmm/host/probe-guest.ts';
import { needToolchain } from '../../vmm/toolchain/index.ts';
import { benchApi } from './api.ts';
import { benchBuild } from './build.ts';
import { measureClones } from './clones.ts';
import { benchCompose, benchConfig, benchHostile } from './compose.ts';
import { benchData } from './data/data.ts';
import { benchEdge, serveBenchEdge } from './edge.ts';
import { benchKvm } from './kvm.ts';
import { measurePullOfFiles } from './many-files.ts';
import { measureRegistry } from './registry.ts';
import { benchStart } from './start.ts';
import { benchUi } from './ui.ts';

/**
 * `npm run bench [-- NAME…]`: figures as JSON lines, `{"name","unit","median","min","max","runs"}`. Each
 * figure is taken several times after a warm-up; compare medians of one run with each other, not across machines.
 */
const root = new URL('..', import.meta.url).pathname;
const hypr = join(root, 'bin', 'hypr');

const report = (name: string, unit: string, values: readonly number[]): void => {
  const sorted = [...values].sort((a, b) => a - b);
  const round = (value: number | undefined) => Math.round((value ?? 0) * 1000) / 1000;
  process.stdout.write(
    `${JSON.stringify({ name, unit, median: round(sorted[Math.floor(sorted.length / 2)]), min: round(sorted[0]), max: round(sorted.at(-1)), runs: sorted.length })}\n`,
  );
};

/** Runs a program to its end; seconds it took, and its output. */
const timed = (file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ seconds: number; stdout: string }> =>
  new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(file, [...args], { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0
        ? resolve({ seconds: (performance.now() - begin) / 1000, stdout })
        : reject(new Error(`${file} ${args.join(' ')} ended with ${code}`)),
    );
  });

const repeat = async (runs: number, work: () => Promise<number>): Promise<number[]> => {
  await work();
  const values: number[] = [];
  for (let run = 0; run < runs; run++) {
    values.push(await work());
  }
  return values;
};

/**
 * Gives how many times as long as Node alone `--version` takes, by the fastest of each: other work on the host only slows down. In
 * turns, because that work comes and goes.
 */
const benchCliStart = async (): Promise<number> => {
  const bare: number[] = [];
  const version: number[] = [];
  for (let turn = 0; turn < 25; turn += 1) {
    bare.push((await timed(process.execPath, ['-e', '0'])).seconds);
    version.push((await timed(hypr, ['--version'])).seconds);
  }
  report('bare-node', 's', bare);
  report('cli-version', 's', version);
  report(
    'cli-config',
    's',
    await repeat(9, async () => (await timed(hypr, ['compose', '-f', 'fixtures/shop/compose.yaml', 'config', '-q'])).seconds),
  );
  return Math.min(...version) / Math.min(...bare);
};

const benchSetup = async (): Promise<void> => {
  const home = await mkdtemp(join(tmpdir(), 'hypr-bench-'));
  try {
    report('setup-from-nothing', 's', [(await timed(hypr, ['setup'], { HYPR_HOME: home })).seconds]);
    report('setup-again', 's', [(await timed(hypr, ['setup'], { HYPR_HOME: home })).seconds]);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
};

const benchBoot = async (): Promise<void> => {
  const toolchain = await needToolchain();
  const { vmm } = await chooseVmm({ toolchain });
  report('cold-boot-to-agent', 'ms', await repeat(5, () => runProbeGuest(vmm)));
  const dir = await mkdtemp(join(tmpdir(), 'hypr-bench-'));
  const machine = await vmm.create(
    { name: 'bench', runDir: join(dir, 'm'), consoleLog: join(dir, 'console'), vcpus: 1, memoryMib: 512, disks: [], nics: [], shares: [] },
    [],
  );
  try {
    await machine.start();
    const guest = await connectGuest(machine.record.agentSocket, { timeout: 60_000 });
    report(
      'agent-round-trip',
      'ms',
      await repeat(20, async () => {
        const begin = performance.now();
        await guest.sync();
        return performance.now() - begin;
      }),
    );
    report('idle-machine-memory-pss', 'MiB', [(await machine.memory()) / 2 ** 20]);
    await guest.close();
  } finally {
    await machine.delete();
    await rm(dir, { recursive: true, force: true });
  }
};

const BOOTS = 50;

/** Fifty cold boots, as many at a time as there are cores; `failed` must be 0. */
const benchBoots = async (): Promise<void> => {
  const toolchain = await needToolchain();
  const { vmm } = await chooseVmm({ toolchain });
  const times: number[] = [];
  let failed = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < BOOTS) {
      next += 1;
      try {
        times.push(await runProbeGuest(vmm));
      } catch (error) {
        failed += 1;
        process.stderr.write(`${String(error)}\n`);
      }
    }
  };
  await Promise.all(cpus().map(worker));
  report('boots-under-load', 'ms', times);
  report('boots-failed', 'count', [failed]);
};

/** HYPR_BENCH_CLONES=200 for a long run; four at a time. `clones-failed` must be 0. */
const benchClones = async (): Promise<void> => {
  const count = Number(process.env.HYPR_BENCH_CLONES ?? 20);
  const { times, failures, pss } = await measureClones({
    count,
    atOnce: Number(process.env.HYPR_BENCH_AT_ONCE ?? 4),
    idle: Number(process.env.HYPR_BENCH_IDLE ?? 8),
  });
  for (const step of ['create', 'agent', 'prepare', 'total', 'cpuCreated', 'cpuAgent', 'cpu'] as const) {
    report(
      `clone-${step}`,
      'ms',
      times.map((taken) => taken[step]),
    );
  }
  report('clones', 'count', [times.length]);
  report('clones-failed', 'count', [failures.length]);
  report('clone-memory-pss', 'MiB', pss);
  for (const failure of failures) {
    process.stderr.write(`${failure}\n`);
  }
};

/** Compressed bytes of an image at the registry, per second of `hypr pull` into an empty store. */
const benchPull = async (): Promise<void> => {
  const registry = await serveFixtures(['node']);
  try {
    const bytes = await imageBytes(registry.url, 'library/node', '20');
    const rates: number[] = [];
    for (let run = 0; run < 3; run++) {
      const home = await makeHome();
      const { seconds } = await timed(hypr, ['pull', '-q', 'node:20'], { HYPR_HOME: home, HYPR_REGISTRY_MIRRORS: registry.mirrors });
      rates.push(bytes / 1e6 / seconds);
      await rm(home, { recursive: true, force: true });
    }
    report('pull', 'MB/s compressed', rates);
  } finally {
    await registry.close();
  }
};

const FILE_COUNTS = [10_000, 300_000, 2_000_000];

/** Memory of a pull by the number of files: it must not grow with them for ever. */
const benchPullFiles = async (): Promise<void> => {
  for (const files of FILE_COUNTS) {
    const home = await makeHome();
    try {
      const { seconds, cpu, rss } = await measurePullOfFiles(hypr, home, files);
      report(`pull-${files}-files`, 's', [seconds]);
      report(`pull-${files}-files-cpu`, 's', [cpu]);
      report(`pull-${files}-files-memory`, 'MiB', [rss]);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  }
};

const benchRegistry = async (): Promise<void> => {
  const { megabytes, push, pushAgain, pull, memory } = await measureRegistry();
  report('layer-compressed', 'MB', [megabytes]);
  report('push-layer', 's', push);
  report('push-layer-again', 's', pushAgain);
  report('pull-layer-to-mountable', 's', pull);
  report('registry-memory', 'MiB', [memory]);
};

const imageBytes = async (url: string, name: string, tag: string): Promise<number> => {
  const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';
  const get = async (reference: string) =>
    (await fetch(`${url}/v2/${name}/manifests/${reference}`, { headers: { accept } })).json() as Promise<{
      manifests?: Array<{ digest: string }>;
      layers?: Array<{ size: number }>;
    }>;
  const index = await get(tag);
  const manifest = index.manifests?.[0] ? await get(index.manifests[0].digest) : index;
  return (manifest.layers ?? []).reduce((sum, layer) => sum + layer.size, 0);
};

/** An empty HYPR_HOME with the toolchain of this one: files of its own, since `hypr setup` notes there which home they are in. */
const makeHome = async (): Promise<string> => {
  const home = await mkdtemp(join(tmpdir(), 'hypr-bench-'));
  const { toolchain } = homePaths(process.env.HYPR_HOME ?? join(homedir(), '.hypr'));
  const copy = (how: string) =>
    spawnSync('cp', [how, toolchain, join(home, 'toolchain')], { stdio: ['ignore', 'ignore', 'inherit'] }).status;
  if (copy('-al') !== 0 && copy('-a') !== 0) {
    throw new Error(`${toolchain} cannot be copied to ${home}; run hypr setup first`);
  }
  return home;
};

/** First and second `up` of the shop in a home of its own with the toolchain of this one; exec round trip and memory meanwhile. */
const benchShop = async (): Promise<void> => {
  const home = await makeHome();
  const registry = await serveFixtures(['nginx', 'postgres', 'redis', 'node']);
  const env = {
    HYPR_HOME: home,
    HYPR_REGISTRY_MIRRORS: registry.mirrors,
    SHOP_PORT: '18081',
    COMPOSE_PROJECT_NAME: 'shopbench',
  };
  const compose = (...args: string[]) => timed(hypr, ['compose', '-f', 'fixtures/shop/compose.yaml', ...args], env);
  try {
    const pulled = await compose('pull', '-q', '--ignore-buildable');
    report('pull-shop-images', 's', [pulled.seconds]);
    report('first-up', 's', [(await compose('up', '-d', '--wait')).seconds]);
    report('exec-true', 's', await repeat(5, async () => (await compose('exec', '-T', 'cache', 'true')).seconds));
    report('machine-memory-pss', 'MiB', await machineMemory('shopbench'));
    report('down', 's', [(await compose('down')).seconds]);
    const ups: number[] = [];
    for (let run = 0; run < 3; run++) {
      ups.push((await compose('up', '-d', '--wait')).seconds);
      await compose('down');
    }
    report('second-up', 's', ups);
    await compose('down', '-v');
  } finally {
    await registry.close();
    await rm(home, { recursive: true, force: true });
  }
};

const benchBuilds = async (): Promise<void> => {
  const home = await makeHome();
  const registry = await serveFixtures(['busybox']);
  const env = { HYPR_HOME: home, HYPR_REGISTRY_MIRRORS: registry.mirrors };
  try {
    await timed(hypr, ['setup'], env);
    await benchBuild({ hypr, env, report, time: async (file, args, own) => (await timed(file, args, own)).seconds });
  } finally {
    await registry.close();
    await rm(home, { recursive: true, force: true });
  }
};

const machineMemory = async (stack: string): Promise<number[]> => {
  const { stdout } = await timed('pgrep', ['-f', `hypr-${stack}-`]);
  const sizes = await Promise.all(
    stdout
      .trim()
      .split('\n')
      .map(
        async (pid) =>
          Number(/^Pss:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => ''))?.[1] ?? 0) / 1024,
      ),
  );
  return sizes.filter((size) => size > 8);
};

/** `start [--rounds N] [--out FILE]`: not part of the others, because it takes minutes. */
const benchStartAlone = async (args: readonly string[]): Promise<void> => {
  const { values } = parseArgs({ args: [...args], options: { rounds: { type: 'string', default: '3' }, out: { type: 'string' } } });
  const home = await makeHome();
  const registry = await serveFixtures(['nginx', 'busybox']);
  try {
    const env = { ...process.env, HYPR_HOME: home, HYPR_REGISTRY_MIRRORS: registry.mirrors };
    await timed(hypr, ['setup'], env);
    await benchStart({ hypr, env, rounds: Math.max(1, Number(values.rounds) || 1), out: values.out });
  } finally {
    await registry.close();
    await rm(home, { recursive: true, force: true });
  }
};

/**
 * Throughput, round trips, connections and names through one gateway, between network namespaces in place of machines; needs user 0.
 * HYPR_BENCH_STOCK_GVPROXY: a gvproxy 0.8.9 to measure in turns with ours.
 */
const benchNetwork = async (): Promise<void> => {
  if (process.getuid?.() !== 0) {
    throw new Error('bench network makes network namespaces: run it as root');
  }
  const { gvproxy } = await needToolchain();
  const stock = process.env.HYPR_BENCH_STOCK_GVPROXY;
  const args = ['run', '-C', join(root, 'test', 'bench', 'gateway'), '.', '-ours', gvproxy.file, ...(stock ? ['-stock', stock] : [])];
  const { stdout } = await timed('go', args);
  process.stdout.write(`${stdout}\n${networkTable(stdout)}`);
};

/** The same lines as a table: a row for each figure, a column for each gateway. */
const networkTable = (lines: string): string => {
  const figures = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; unit: string; gateway: string; median: number; min: number; max: number });
  const gateways = [...new Set(figures.map(({ gateway }) => gateway))];
  const short = (value: number) => Number(value.toPrecision(3)).toLocaleString('en');
  const cell = (name: string, gateway: string): string => {
    const found = figures.find((figure) => figure.name === name && figure.gateway === gateway);
    return found === undefined ? '' : `${short(found.median)} (${short(found.min)}–${short(found.max)})`;
  };
  const units = new Map(figures.map(({ name, unit }) => [name, unit]));
  const rows = [...units].map(([name, unit]) => `| ${[name, unit, ...gateways.map((gateway) => cell(name, gateway))].join(' | ')} |`);
  return `${[`| ${['what', 'unit', ...gateways].join(' | ')} |`, `|${'---|'.repeat(2 + gateways.length)}`, ...rows].join('\n')}\n`;
};

const benchKvmHere = async (): Promise<void> => {
  const count = (name: string, otherwise: number) => Number(process.env[`HYPR_BENCH_${name}`] ?? otherwise);
  const write = (line: string) => void process.stdout.write(`${line}\n`);
  await benchKvm({
    toolchain: await needToolchain(),
    boots: count('BOOTS', 1),
    clones: count('CLONES', 20),
    idle: count('IDLE', 4),
    write,
  });
};

/** `ui [--seconds 60]`: the dashboard idle and under a flood of lines, and the start of the CLI beside Node's own. */
const benchUiAlone = async (args: readonly string[]): Promise<void> => {
  const { values } = parseArgs({ args: [...args], options: { seconds: { type: 'string', default: '60' } } });
  const version = await benchCliStart();
  const home = await makeHome();
  const registry = await serveFixtures(['busybox']);
  try {
    const env = { HYPR_HOME: home, HYPR_REGISTRY_MIRRORS: registry.mirrors };
    await timed(hypr, ['setup'], env);
    await benchUi({ hypr, env, home, version, seconds: Math.max(5, Number(values.seconds) || 60) });
  } finally {
    await registry.close();
    await rm(home, { recursive: true, force: true });
  }
};

/** `data [--rounds N] [--only GROUP,…] [--scale F] [--out FILE]`. */
const benchDataAlone = async (args: readonly string[]): Promise<void> => {
  const home = await makeHome();
  try {
    const env = { ...process.env, HYPR_HOME: home };
    await timed(hypr, ['setup'], env);
    await benchData({ hypr, env, args });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
};

const BENCHES: Record<string, () => Promise<unknown>> = {
  cli: benchCliStart,
  config: () => benchConfig(hypr),
  compose: () => benchCompose(hypr),
  hostile: () => benchHostile(hypr),
  setup: benchSetup,
  boot: benchBoot,
  boots: benchBoots,
  clones: benchClones,
  pull: benchPull,
  'pull-files': benchPullFiles,
  registry: benchRegistry,
  build: benchBuilds,
  shop: benchShop,
  edge: benchEdge,
  api: () => benchApi(hypr, makeHome),
  network: benchNetwork,
  kvm: benchKvmHere,
};

/** Not benches, or with arguments of their own. */
const ALONE = new Set(['start', 'data', 'edge-server', 'ui']);

const wanted = process.argv.slice(2);
if (wanted[0] === 'start') {
  await benchStartAlone(wanted.slice(1));
} else if (wanted[0] === 'data') {
  await benchDataAlone(wanted.slice(1));
} else if (wanted[0] === 'ui') {
  await benchUiAlone(wanted.slice(1));
} else if (wanted[0] === 'edge-server') {
  await serveBenchEdge(Number(wanted[1]));
}
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length === 0 || (!ALONE.has(wanted[0] ?? '') && wanted.includes(name))) {
    await bench();
  }
}
