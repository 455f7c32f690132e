import { spawn } from 'node:child_process';
import { existsSync, statfsSync } from 'node:fs';
import { mkdtemp, readdir, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { type CliOptions, type CliResult, hypr, hyprBin, root } from './cli.ts';
import { randomNumbers, SEED } from './seed.ts';

/** Kills are tried at so many moments; HYPR_CRASH_KILLS=200 for the long version. */
export const KILLS = Number(process.env.HYPR_CRASH_KILLS ?? 20);

/** Moments between 0 and `duration`, one at random in each of as many equal parts; the same ones for the same seed. */
export const killMoments = (duration: number): number[] => {
  const next = randomNumbers(SEED);
  return Array.from({ length: KILLS }, (_, index) => ((index + next()) / KILLS) * duration);
};

/** In memory where there is room: what a kill leaves is the same there, and nothing waits for a disk. */
const place = (): string => {
  const memory = '/dev/shm';
  const { bavail, bsize } = existsSync(memory) ? statfsSync(memory) : { bavail: 0, bsize: 0 };
  return bavail * bsize > 2 ** 30 ? memory : tmpdir();
};

/** Everything that no command may leave behind. */
const TRANSIENT = ['images/tmp', 'images/leases', 'images/locks', 'build/tmp', 'build/locks'];

/** An HYPR_HOME of its own, with the tests' toolchain, whose store is killed again and again. */
export class CrashHome {
  private constructor(readonly dir: string) {}

  static async make(name: string): Promise<CrashHome> {
    const dir = await mkdtemp(join(place(), `hypr-${name}-`));
    await symlink(await realpath(join(inject('hyprHome'), 'toolchain')), join(dir, 'toolchain'));
    return new CrashHome(dir);
  }

  get env(): NodeJS.ProcessEnv {
    return { HYPR_HOME: this.dir };
  }

  run(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return hypr(args, { ...options, env: { ...this.env, ...options.env } });
  }

  async must(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    const result = await this.run(args, options);
    if (result.code !== 0) {
      throw new Error(`hypr ${args.join(' ')} ended with ${result.code}\n${result.stdout}\n${result.stderr}`);
    }
    return result;
  }

  /** Starts a command and kills its whole process group after `ms`, or lets it end before. */
  async killAt(args: readonly string[], ms: number): Promise<void> {
    const child = spawn(hyprBin, [...args], {
      cwd: root,
      env: { ...process.env, ...this.env },
      stdio: 'ignore',
      detached: true,
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), ms);
    child.once('exit', () => clearTimeout(timer));
    await ended;
  }

  list(folder: string): Promise<string[]> {
    return readdir(join(this.dir, folder)).catch(() => []);
  }

  /** Staged files, leases and locks that are there. */
  async transient(): Promise<string[]> {
    const lists = await Promise.all(TRANSIENT.map(async (folder) => (await this.list(folder)).map((name) => `${folder}/${name}`)));
    return lists.flat();
  }

  /** As if nothing had ever been pulled or built. */
  async empty(): Promise<void> {
    await Promise.all(['images', 'build'].map((name) => rm(join(this.dir, name), { recursive: true, force: true })));
  }

  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}
