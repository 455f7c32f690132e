import { type FileHandle, mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LineSplitter } from '../../base/lines.ts';
import { Tmux } from '../support/clients/tmux.ts';
import { reportRow } from './measure.ts';

/** What the dashboard may cost, from the issue that asked for it. */
const MOST = { delayMs: 100, memoryMib: 250, busyShare: 1 / 3, idleShare: 0.02, version: 1.5 } as const;

/** Lines per turn and turns per second; busybox's seq is the fastest source of lines that an emulated machine has. */
const LINES = 2000;
const PER_SECOND = 5;

/** Prints its numbers at a steady rate: a turn that came late is made up for. */
const source = (seconds: number): string =>
  `i=0; t0=$$(cut -d. -f1 /proc/uptime); while [ $$i -lt ${seconds * PER_SECOND} ]; do seq $$((i * ${LINES} + 1)) $$((i * ${LINES} + ${LINES})); i=$$((i + 1)); until now=$$(cut -d. -f1 /proc/uptime); [ $$((i / ${PER_SECOND})) -le $$((now - t0)) ]; do usleep 100000; done; done; echo all of it; sleep 100000`;

/**
 * Tells what the process used since it was asked to begin (SIGUSR2) when it is asked again. The delay of its loop is measured only where it is
 * asked for: the measuring wakes the process 200 times a second.
 */
const TELLER = `const { monitorEventLoopDelay } = require('node:perf_hooks');
const { writeFileSync } = require('node:fs');
if ((process.argv[1] ?? '').endsWith('start.cjs') && process.argv.includes('up')) {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  let began, cpu;
  writeFileSync(process.env.BENCH_UI_OUT + '.pid', String(process.pid));
  process.on('SIGUSR2', () => {
    if (began === undefined) {
      if (process.env.BENCH_UI_DELAY) {
        delay.enable();
        delay.reset();
      }
      [began, cpu] = [performance.now(), process.cpuUsage()];
    } else {
      const used = process.cpuUsage(cpu);
      const wall = (performance.now() - began) * 1000;
      const rss = process.resourceUsage().maxRSS / 1024;
      writeFileSync(process.env.BENCH_UI_OUT, JSON.stringify({ share: (used.user + used.system) / wall, p99: process.env.BENCH_UI_DELAY ? delay.percentile(99) / 1e6 - 5 : 0, rss }));
      began = undefined;
    }
  });
}
`;

interface Told {
  readonly share: number;
  readonly p99: number;
  readonly rss: number;
}

export interface UiBench {
  readonly hypr: string;
  readonly env: NodeJS.ProcessEnv;
  /** HYPR_HOME of `env`. */
  readonly home: string;
  readonly seconds: number;
  /** `hypr --version` took this many times as long as Node alone. */
  readonly version: number;
}

/**
 * The dashboard on a real terminal (tmux), over a real machine: idle for half a minute, then 10,000 lines a second for `seconds`. Fails
 * where a figure is missed or a line is not on the disk.
 */
export const benchUi = async (bench: UiBench): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-bench-ui-'));
  const misses: string[] = [];
  const row = (name: string, value: number, unit: string, most: number): void => {
    reportRow({ name, unit, value, most, ok: value <= most });
    if (value > most) {
      misses.push(`${name}: ${value.toFixed(3)} ${unit}, and ${most} is the most`);
    }
  };
  try {
    row('cli-version-over-node', bench.version, '×', MOST.version);
    const idle = await watchOne(bench, { folder, name: 'uiidle', command: 'sleep 100000', seconds: 30 });
    row('ui-idle-share', idle.told.share, 'of a core', MOST.idleShare);
    const busy = await watchOne(bench, { folder, name: 'uibusy', command: source(bench.seconds), seconds: bench.seconds });
    row('ui-busy-share', busy.told.share, 'of a core', MOST.busyShare);
    row('ui-busy-loop-delay-p99', busy.told.p99, 'ms', MOST.delayMs);
    row('ui-busy-memory', busy.told.rss, 'MiB', MOST.memoryMib);
    const wanted = bench.seconds * PER_SECOND * LINES;
    reportRow({ name: 'ui-busy-lines', unit: 'lines/s', value: busy.lines / busy.took, lines: busy.lines, wanted });
    if (busy.lines !== wanted) {
      misses.push(`${wanted - busy.lines} of ${wanted} lines are not on the disk`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (misses.length > 0) {
    throw new Error(`missed:\n  ${misses.join('\n  ')}`);
  }
};

interface Watched {
  readonly told: Told;
  /** Numbers in the log, each counted once and only in its place. */
  readonly lines: number;
  readonly took: number;
}

const watchOne = async (
  { hypr, env, home }: UiBench,
  { folder, name, command, seconds }: { folder: string; name: string; command: string; seconds: number },
): Promise<Watched> => {
  const cwd = join(folder, name);
  const out = join(cwd, 'told.json');
  await mkdir(cwd);
  await writeFile(join(cwd, 'teller.cjs'), TELLER);
  const service = { image: 'busybox', command: ['sh', '-c', command], stop_grace_period: '1s' };
  await writeFile(join(cwd, 'compose.yaml'), JSON.stringify({ name, services: { web: service } }));
  const all = {
    ...env,
    HYPR_NODE_OPTIONS: `--require ${join(cwd, 'teller.cjs')}`,
    BENCH_UI_OUT: out,
    BENCH_UI_DELAY: name === 'uiidle' ? '' : '1',
  };
  const counter = new LogCounter(join(home, 'logs', name, `${name}-web-1.jsonl`));
  const terminal = await Tmux.open({ columns: 160, rows: 50, cwd, env: all });
  try {
    await terminal.line(`${hypr} up`);
    await terminal.until(/web-1 +up/, 120_000);
    const pid = Number(await readFile(`${out}.pid`, 'utf8'));
    if (name === 'uiidle') {
      // What the start left is over.
      await sleep(20_000);
    }
    const began = performance.now();
    process.kill(pid, 'SIGUSR2');
    if (name === 'uiidle') {
      await sleep(seconds * 1000);
    } else {
      await terminal.until('all of it', seconds * 4000 + 60_000);
    }
    const took = (performance.now() - began) / 1000;
    process.kill(pid, 'SIGUSR2');
    const told = JSON.parse(await waitFor(out)) as Told;
    await terminal.type('d');
    await terminal.until('goes on without the dashboard');
    return { told, took, lines: await counter.close() };
  } finally {
    await counter.close();
    await terminal.line(`clear; ${hypr} down -t 1; echo down is over`);
    await terminal.until(/^down is over$/m, 120_000).catch(() => []);
    await terminal.close();
  }
};

const waitFor = async (path: string): Promise<string> => {
  for (let turn = 0; ; turn += 1) {
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      if (turn > 100) {
        throw error;
      }
      await sleep(100);
    }
  }
};

/** Reads a log while it is written, over its rotations, and counts the numbers that are there in their order. */
class LogCounter {
  readonly #path: string;
  readonly #splitter = new LineSplitter();
  #file: FileHandle | undefined;
  #next = 1;
  readonly #timer: NodeJS.Timeout;
  #reading: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
    this.#timer = setInterval(() => {
      this.#reading = this.#reading.then(() => this.#read());
    }, 250);
  }

  /** May be called again. */
  async close(): Promise<number> {
    clearInterval(this.#timer);
    await this.#reading;
    await this.#read();
    await this.#file?.close();
    this.#file = undefined;
    return this.#next - 1;
  }

  async #read(): Promise<void> {
    for (;;) {
      this.#file ??= await open(this.#path).catch(() => undefined);
      if (this.#file === undefined) {
        return;
      }
      // Asked before the rest is read: what was written until the rotation is in the old file.
      const isRotated = (await stat(this.#path).catch(() => undefined))?.ino !== (await this.#file.stat()).ino;
      for (;;) {
        const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(1 << 20));
        if (bytesRead === 0) {
          break;
        }
        for (const line of this.#splitter.push(buffer.subarray(0, bytesRead))) {
          this.#next += /"l":"(\d+)"/.exec(line.toString())?.[1] === String(this.#next) ? 1 : 0;
        }
      }
      if (!isRotated) {
        return;
      }
      await this.#file.close();
      this.#file = undefined;
    }
  }
}
