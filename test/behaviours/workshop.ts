import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { type CliResult, hypr } from '../support/cli.ts';

const run = promisify(execFile);

export interface Made extends CliResult {
  /** Path → content, of every file of the result. */
  readonly files: Readonly<Record<string, string>>;
  /** Path → `mode uid/gid`, of everything in the result. */
  readonly meta: Readonly<Record<string, string>>;
}

export interface Bench {
  readonly dir: string;
  write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void>;
  /** `hypr build` of the folder, its result looked at with tar. Progress is plain, on stderr. */
  build(dockerfile: string, args?: readonly string[]): Promise<Made>;
}

/** A folder to build from, in a home that may be shared; it goes when `work` ends. */
export const withBench = async (home: string, work: (bench: Bench) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-behaviour-'));
  const dir = join(folder, 'context');
  let count = 0;
  const write = async (files: Readonly<Record<string, string | Uint8Array>>) => {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(dir, path)), { recursive: true });
      await writeFile(join(dir, path), content);
    }
  };
  const build = async (dockerfile: string, args: readonly string[] = []): Promise<Made> => {
    const output = join(folder, `out-${count++}.tar`);
    await mkdir(dir, { recursive: true });
    const result = await hypr(['build', '--progress', 'plain', '-o', `type=tar,dest=${output}`, '-f', '-', ...args, '.'], {
      cwd: dir,
      env: { HYPR_HOME: home, HYPR_REGISTRY_MIRRORS: inject('mirrors'), FROM_HOST: 'of the host' },
      input: dockerfile,
    });
    return result.code === 0 ? { ...result, ...(await readResult(output)) } : { ...result, files: {}, meta: {} };
  };
  try {
    await work({ dir, write, build });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** Symbolic links are `-> target`. */
const readResult = async (tar: string): Promise<Pick<Made, 'files' | 'meta'>> => {
  const folder = `${tar}.files`;
  await mkdir(folder);
  await run('tar', ['-xf', tar, '-C', folder, '--no-same-owner', '--no-same-permissions']);
  const { stdout } = await run('tar', ['--numeric-owner', '--quoting-style=literal', '-tvf', tar], { maxBuffer: 1 << 26 });
  const files: Record<string, string> = {};
  const meta: Record<string, string> = {};
  for (const line of stdout.split('\n')) {
    const [, mode = '', owner = '', rest = ''] = /^(\S+) (\S+) +\d+ \S+ \S+ (.*)$/.exec(line) ?? [];
    const [path = '', target] = rest.split(' -> ');
    if (path === '') {
      continue;
    }
    meta[path] = `${mode} ${owner}`;
    if (mode.startsWith('l')) {
      files[path] = `-> ${target}`;
    } else if (mode.startsWith('-') || mode.startsWith('h')) {
      files[path] = await readFile(join(folder, path.replace(/ link to .*$/, '')), 'utf8').catch(() => 'unreadable');
    }
  }
  return { files, meta };
};
