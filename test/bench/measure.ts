import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a run of a program came to; `rss` (largest resident size, MiB) and `cpu` (s) are those of Node programs started with {@link withRss}. */
export interface Run {
  readonly code: number;
  readonly seconds: number;
  readonly rss: number;
  readonly cpu: number;
  readonly stderr: string;
}

/** One figure as a JSON line on stdout, with further fields. */
export const reportRow = (row: Readonly<Record<string, unknown>>): void => {
  process.stdout.write(
    `${JSON.stringify(row, (_, value: unknown) => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value))}\n`,
  );
};

/** The middle of some figures. */
export const medianOf = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Calls `use` with a temporary folder and the environment that makes a Node program tell its peak memory. */
export const withRss = async (use: (folder: string, env: NodeJS.ProcessEnv) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-bench-'));
  try {
    const teller = join(folder, 'tell-rss.cjs');
    await writeFile(teller, "process.on('exit', () => require('fs').writeSync(3, JSON.stringify(process.resourceUsage())));\n");
    await use(folder, { HYPR_NODE_OPTIONS: `--require ${teller}` });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** Runs a program to its end, its output thrown away; for as long as a minute. */
export const runOnce = (file: string, args: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }): Promise<Run> =>
  new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(file, [...args], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
    let stderr = '';
    let told = '';
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      told += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (code) => {
      const { maxRSS, userCPUTime, systemCPUTime } = told === '' ? NOTHING_TOLD : (JSON.parse(told) as typeof NOTHING_TOLD);
      const seconds = (performance.now() - begin) / 1000;
      resolve({ code: code ?? -1, seconds, rss: maxRSS / 1024, cpu: (userCPUTime + systemCPUTime) / 1e6, stderr });
    });
  });

const NOTHING_TOLD = { maxRSS: 0, userCPUTime: 0, systemCPUTime: 0 };
