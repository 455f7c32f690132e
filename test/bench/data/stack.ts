import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Tool {
  readonly name: 'hypr' | 'docker';
  readonly file: string;
  readonly env: NodeJS.ProcessEnv;
}

/** What one call of a program came to. */
export interface Call {
  readonly seconds: number;
  readonly stdout: string;
}

/** Two running services: `a` with a bind at /bind, a volume at /vol and a tmpfs at /mem, and `b`; both serve the probe's port. */
export interface BenchStack {
  readonly tool: Tool;
  readonly dir: string;
  /** Where port 9000 of `a` is published on this host. */
  readonly port: string;
  /** Runs the probe in `a`; its figures by name. */
  readonly probe: (...args: string[]) => Promise<Map<string, number>>;
  /** `compose` with these arguments; standard input from a file. */
  readonly compose: (args: readonly string[], input?: string) => Promise<Call>;
  readonly end: () => Promise<void>;
}

const SERVICES = `
services:
  a:
    build: .
    ports: ["127.0.0.1::9000"]
    volumes: ["./bind:/bind", "vol:/vol"]
    tmpfs: [/mem]
    stop_grace_period: 1s
  b: { build: ., stop_grace_period: 1s }
volumes: { vol: {} }
`;

const LONGEST_MS = 600_000;

/** Builds and starts it. Its image is the probe alone, so that neither a registry nor a machine to build in is needed. */
export const makeBenchStack = async (input: { tool: Tool; folder: string; probe: string }): Promise<BenchStack> => {
  const { tool, folder, probe } = input;
  const dir = join(folder, `benchdata-${tool.name}`);
  await mkdir(join(dir, 'bind'), { recursive: true });
  await copyFile(probe, join(dir, 'probe'));
  await writeFile(join(dir, 'Dockerfile'), 'FROM scratch\nCOPY probe /probe\nCMD ["/probe", "serve", "9000"]\n');
  await writeFile(join(dir, 'compose.yaml'), `name: benchdata${SERVICES}`);
  const compose = (args: readonly string[], stdin?: string) =>
    call({ file: tool.file, args: ['compose', ...args], cwd: dir, env: tool.env, ...(stdin === undefined ? {} : { stdin }) });
  const end = async () => void (await compose(['down', '-v', '-t', '1', '--rmi', 'all']));
  try {
    await compose(['up', '-d', '--build', '--wait']);
    const { stdout } = await compose(['port', 'a', '9000']);
    const run = async (...args: string[]) => readFigures((await compose(['exec', '-T', 'a', '/probe', ...args])).stdout);
    return { tool, dir, compose, end, probe: run, port: stdout.trim().split(':').at(-1) ?? '' };
  } catch (error) {
    await end().catch(() => {});
    throw error;
  }
};

/** Lines `name value` of the probe. */
export const readFigures = (text: string): Map<string, number> =>
  new Map([...text.matchAll(/^(\w+) ([\d.]+)$/gm)].map(([, name, value]) => [name ?? '', Number(value)]));

interface CallInput {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly stdin?: string;
}

/** Runs a program to its end, and throws with what it said where it fails. */
export const call = ({ file, args, cwd, env, stdin }: CallInput): Promise<Call> =>
  new Promise((resolve, reject) => {
    const input = stdin === undefined ? undefined : openSync(stdin, 'r');
    const begin = performance.now();
    const child = spawn(file, [...args], { cwd, env, stdio: [input ?? 'ignore', 'pipe', 'pipe'], timeout: LONGEST_MS });
    if (input !== undefined) {
      closeSync(input);
    }
    let [stdout, stderr] = ['', ''];
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0
        ? resolve({ seconds: (performance.now() - begin) / 1000, stdout })
        : reject(new Error(`${file} ${args.join(' ')} ended with ${code}: ${stderr.trim().slice(-2000)}`)),
    );
  });
