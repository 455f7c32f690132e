import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Seconds that docker compose took on a machine of the same kind (two cores), for hosts without a docker engine. */
const RECORDED: Readonly<Record<string, number>> = {
  up: 2.9,
  'down -t 1': 3.6,
  'run --rm true': 0.26,
  'exec true': 0.05,
  'up 30': 4.45,
  'down 30': 3.1,
};

const THREE = `services:
  web:
    image: nginx
    healthcheck: { test: ["CMD-SHELL", "test -s /run/nginx.pid"], interval: 1s }
  one: { image: busybox, command: [sleep, 1d], stop_grace_period: 1s }
  two: { image: busybox, command: [sleep, 1d], stop_grace_period: 1s }
`;

const sleepers = (count: number): string =>
  `services:\n${Array.from({ length: count }, (_, at) => `  s${at + 1}: { image: busybox, command: [sleep, 1d] }\n`).join('')}`;

interface Timed {
  readonly code: number;
  readonly seconds: number;
}

interface Tool {
  readonly name: 'hypr' | 'docker';
  readonly run: (dir: string, args: readonly string[]) => Promise<Timed>;
}

interface Memory {
  readonly machines: number;
  readonly mib: number;
  /** Processor time of QEMU, gvproxy and supervisor so far. */
  readonly cpu: number;
}

export interface StartBench {
  readonly hypr: string;
  readonly env: NodeJS.ProcessEnv;
  readonly rounds: number;
  /** Where the Markdown table goes beside stdout. */
  readonly out: string | undefined;
}

/**
 * The path to ready and back, as medians: JSON lines `{"name","tool","unit","median","runs"}`, then a Markdown
 * table with ratios. A docker engine that answers runs the same files in turns with hypr; otherwise recorded figures stand in
 * and are marked. Commands that this hypr lacks are left out with a line on stderr.
 */
export const benchStart = async (options: StartBench): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-bench-start-'));
  const tools: Tool[] = [
    { name: 'hypr', run: (dir, args) => timed({ file: options.hypr, args: ['compose', ...args], dir, env: options.env }) },
  ];
  if (spawnSync('docker', ['version'], { timeout: 2_000, stdio: 'ignore' }).status === 0) {
    tools.push({ name: 'docker', run: (dir, args) => timed({ file: 'docker', args: ['compose', ...args], dir, env: process.env }) });
  }
  const figures = new Figures();
  try {
    await benchThree({ ...options, tools, folder, figures });
    await benchCurve(tools, folder, options.rounds, figures);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const table = figures.table();
  process.stdout.write(table);
  if (options.out !== undefined) {
    writeFileSync(options.out, table);
  }
};

interface Three extends Pick<StartBench, 'env' | 'rounds'> {
  readonly tools: readonly Tool[];
  readonly folder: string;
  readonly figures: Figures;
}

const benchThree = async ({ tools, folder, env, rounds, figures }: Three): Promise<void> => {
  const dir = await makeStack(folder, 'benchthree', THREE);
  for (let round = 0; round <= rounds; round++) {
    for (const tool of tools) {
      // The first round pulls images and makes templates.
      const step = async (name: string, args: readonly string[]): Promise<void> => {
        const { code, seconds } = await tool.run(dir, args);
        if (code !== 0) {
          process.stderr.write(`${tool.name} ${args.join(' ')} ended with ${code}: left out\n`);
        } else if (round > 0) {
          figures.add(name, tool.name, seconds);
        }
      };
      await step('up', ['up', '-d', '--wait']);
      if (round === 0 && tool.name === 'hypr') {
        await awaitTemplates(env, 2);
      }
      await step('exec true', ['exec', '-T', 'one', 'true']);
      await step('run --rm true', ['run', '--rm', '-T', 'two', 'true']);
      await step('scale 1 to 8', ['up', '-d', '--wait', '--scale', 'one=8']);
      await step('scale 8 to 1', ['up', '-d', '--wait', '--scale', 'one=1']);
      if (tool.name === 'hypr') {
        await step('suspend', ['suspend']);
        await step('resume', ['resume']);
      }
      await step('down -t 1', ['down', '-t', '1']);
    }
  }
};

/** Templates with a root are made when nothing has been started for a while: each of the images has one, or there will be none. */
const awaitTemplates = async (env: NodeJS.ProcessEnv, count: number): Promise<void> => {
  const folder = join(env.HYPR_HOME ?? '', 'cache', 'templates');
  const ready = () => existsSync(folder) && readdirSync(folder).filter((name) => existsSync(join(folder, name, 'upper'))).length >= count;
  for (let left = 60; left > 0 && !ready(); left--) {
    await sleep(1_000);
  }
};

/** Time, processor time and memory by the number of services. */
const benchCurve = async (tools: readonly Tool[], folder: string, rounds: number, figures: Figures): Promise<void> => {
  for (const count of [1, 3, 10, 30]) {
    const name = `bench${count}s`;
    const dir = await makeStack(folder, name, sleepers(count));
    for (let round = 0; round < rounds; round++) {
      for (const tool of tools) {
        const up = await tool.run(dir, ['up', '-d', '--wait']);
        const memory = tool.name === 'hypr' ? readMemory(name) : undefined;
        const down = await tool.run(dir, ['down', '-t', '1']);
        if (up.code !== 0 || down.code !== 0) {
          throw new Error(`${tool.name}: up and down of ${count} services ended with ${up.code} and ${down.code}`);
        }
        figures.add(`up ${count}`, tool.name, up.seconds);
        figures.add(`down ${count}`, tool.name, down.seconds);
        if (memory !== undefined) {
          figures.add(`memory ${count}`, tool.name, memory.mib, 'MiB');
          figures.add(`processor time of up ${count}`, tool.name, memory.cpu);
        }
      }
    }
  }
};

const makeStack = async (folder: string, name: string, text: string): Promise<string> => {
  const dir = join(folder, name);
  await mkdir(dir);
  await writeFile(join(dir, 'compose.yaml'), `name: ${name}\n${text}`);
  return dir;
};

const timed = (command: { file: string; args: readonly string[]; dir: string; env: NodeJS.ProcessEnv }): Promise<Timed> =>
  new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(command.file, [...command.args], { cwd: command.dir, env: command.env, stdio: 'ignore' });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 128, seconds: (performance.now() - begin) / 1000 }));
  });

const TICKS_PER_SECOND = 100;

/** Proportional memory and processor time of all processes that a stack keeps. */
const readMemory = (stack: string): Memory => {
  const sum = { machines: 0, mib: 0, cpu: 0 };
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (line.includes(stack) && /qemu-system|gvproxy|hypr supervisor/.test(line)) {
        const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
        sum.machines += line.includes('qemu-system') ? 1 : 0;
        sum.cpu += (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
        sum.mib += Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024;
      }
    } catch {
      // A process that ended meanwhile.
    }
  }
  return sum;
};

/** Values by figure and tool. */
class Figures {
  readonly #values = new Map<string, { unit: string; tools: Map<string, number[]> }>();

  add(name: string, tool: string, value: number, unit = 's'): void {
    const figure = this.#values.get(name) ?? { unit, tools: new Map<string, number[]>() };
    figure.tools.set(tool, [...(figure.tools.get(tool) ?? []), value]);
    this.#values.set(name, figure);
  }

  /** Writes the JSON lines and gives the table. */
  table(): string {
    const rows = ['', '| what | hypr | docker | ratio |', '|---|---|---|---|'];
    for (const [name, { unit, tools }] of this.#values) {
      for (const [tool, values] of tools) {
        process.stdout.write(`${JSON.stringify({ name, tool, unit, median: median(values), runs: values.length })}\n`);
      }
      const hypr = median(tools.get('hypr') ?? []);
      const measured = tools.get('docker');
      const docker = measured ? median(measured) : RECORDED[name];
      const other = docker === undefined ? '–' : `${docker} ${unit}${measured ? '' : ' (recorded)'}`;
      rows.push(`| ${name} | ${hypr} ${unit} | ${other} | ${docker ? `${(hypr / docker).toFixed(1)}×` : '–'} |`);
    }
    return `${rows.join('\n')}\n`;
  }
}

const median = (values: readonly number[]): number =>
  Math.round(([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN) * 1000) / 1000;
