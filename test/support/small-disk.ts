import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { type CliResult, hyprBin } from './cli.ts';
import { asNamespaceRoot, joinNamespaces } from './mount-namespace.ts';

const FILLER = 'filler';

/**
 * A small file system as HYPR_HOME, in a mount namespace that a child holds open: this process does not see it, and it
 * is gone with the child.
 */
export class SmallDisk {
  private constructor(
    readonly dir: string,
    private readonly holder: ReturnType<typeof spawn>,
  ) {}

  static async open(mib: number): Promise<SmallDisk> {
    const dir = await mkdtemp(join(tmpdir(), 'hypr-small-disk-'));
    const script = 'mount -t tmpfs -o "size=$1" none "$2" && echo mounted && exec cat';
    const [file = '', ...args] = [...asNamespaceRoot, 'sh', '-c', script, 'sh', `${mib}m`, dir];
    const holder = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [text] = (await once(holder.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    if (text.toString() !== 'mounted\n') {
      throw new Error(`no tmpfs: ${text}`);
    }
    const disk = new SmallDisk(dir, holder);
    await disk.#inside('ln', ['-s', await realpath(join(inject('hyprHome'), 'toolchain')), join(dir, 'toolchain')]);
    return disk;
  }

  run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> {
    return this.#inside(hyprBin, args, env);
  }

  /** As run; a failure is an error that shows what was printed. */
  async must(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, env);
    if (code !== 0) {
      throw new Error(`hypr ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`);
    }
    return stdout;
  }

  /** Takes all space but `mib`. */
  async fill(mib: number): Promise<void> {
    const { stdout } = await this.#inside('df', ['--output=avail', '-B1', this.dir]);
    const bytes = Number(stdout.split('\n')[1]) - mib * 1024 * 1024;
    await this.#inside('fallocate', ['-l', String(bytes), join(this.dir, FILLER)]);
  }

  free(): Promise<void> {
    return this.remove(join(this.dir, FILLER));
  }

  async remove(path: string): Promise<void> {
    await this.#inside('rm', ['-rf', path]);
  }

  /** Everything on it, sorted, but finished layers and steps, which may stay, and the state database. */
  async files(): Promise<string[]> {
    const without = ['*/images/layers/*', '*/build', '*/build/*', '*/hypr.db*', '*/ballast', `*/${FILLER}`];
    const { stdout } = await this.#inside('find', [this.dir, '-mindepth', '1', ...without.flatMap((path) => ['-not', '-path', path])]);
    const staged = await this.#inside('find', [join(this.dir, 'build/tmp'), join(this.dir, 'build/locks'), '-mindepth', '1']);
    return `${stdout}${staged.stdout}`.trim().split('\n').sort();
  }

  async close(): Promise<void> {
    const ended = once(this.holder, 'exit');
    this.holder.stdin?.end();
    await ended;
    await Promise.all([this.dir, `${this.dir}.run`].map((path) => rm(path, { recursive: true, force: true })));
  }

  #inside(file: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<CliResult> {
    // Sockets belong to user 0 in there, who is somebody else out here: beside the disk, in a folder of their own.
    const env = { ...process.env, ...more, HYPR_HOME: this.dir, HYPR_RUNTIME_DIR: `${this.dir}.run` };
    const [program = '', ...rest] = [...joinNamespaces(this.holder.pid ?? 0), file, ...args];
    return new Promise((resolve) => {
      execFile(program, rest, { env, timeout: 180_000 }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 137), stdout, stderr }),
      );
    });
  }
}
