import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { inject } from 'vitest';
import { runtimeDir } from '../../base/paths.ts';
import { type CliOptions, type CliResult, hypr, mustHypr } from './cli.ts';

/** A folder with Compose files, and the CLI run in it with the tests' HYPR_HOME. */
export class TestStack {
  readonly dir: string;
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;

  constructor(name: string, env: NodeJS.ProcessEnv = {}) {
    this.dir = mkdtempSync(join(tmpdir(), `hypr-${name}-`));
    this.name = name;
    this.env = { HYPR_HOME: inject('hyprHome'), HYPR_REGISTRY_MIRRORS: inject('mirrors'), COMPOSE_PROJECT_NAME: name, ...env };
  }

  async write(files: Readonly<Record<string, string>>): Promise<this> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(this.dir, path)), { recursive: true });
      writeFileSync(join(this.dir, path), text);
    }
    return this;
  }

  run(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return hypr(['compose', ...args], { cwd: this.dir, ...options, env: { ...this.env, ...options.env } });
  }

  must(args: readonly string[], options: CliOptions = {}): Promise<string> {
    return mustHypr(['compose', ...args], { cwd: this.dir, ...options, env: { ...this.env, ...options.env } });
  }

  /** `ps -a` as objects. */
  async ps(): Promise<
    Array<{
      Name: string;
      Service: string;
      State: string;
      Health: string;
      ExitCode: number;
      Publishers: Array<{ PublishedPort: number; TargetPort: number }>;
    }>
  > {
    const text = await this.must(['ps', '-a', '--format', 'json']);
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => JSON.parse(line));
  }

  /** Takes the stack down whatever state it is in, and removes the folder. */
  async close(): Promise<void> {
    await this.run(['down', '-v', '-t', '2', '--remove-orphans']);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Processes of a stack of this run: VMMs, gvproxies, supervisors, share daemons. Those of other runs are not ours to judge. */
export const processesOf = async (stack: string): Promise<string[]> => {
  const home = inject('hyprHome');
  const marks = [home, runtimeDir({ ...process.env, HYPR_HOME: home })];
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (/^\d+$/.test(pid) && Number(pid) !== process.pid) {
      const [line, env] = await Promise.all(['cmdline', 'environ'].map((name) => readWords(`/proc/${pid}/${name}`)));
      const isOurs = marks.some((mark) => line?.includes(mark)) || env?.includes(`HYPR_HOME=${home} `);
      if (isOurs && /qemu-system|gvproxy|virtiofsd|hypr supervisor|supervisor\.js/.test(line ?? '') && line?.includes(stack)) {
        found.push(`${pid} ${line}`);
      }
    }
  }
  return found;
};

const readWords = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(() => '')).replaceAll('\0', ' ');

/** Files below the tests' HYPR_HOME and its runtime folder that belong to a stack, except logs and named volumes. */
export const filesOf = async (stack: string): Promise<string[]> => {
  const home = inject('hyprHome');
  const places = ['machines', 'build'].map((folder) => join(home, folder));
  const lists = await Promise.all(places.map((place) => readdir(place, { recursive: true }).catch(() => [] as string[])));
  return lists.flat().filter((path) => path.split('/').includes(stack));
};
