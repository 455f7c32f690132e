import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RunResult, runProgram } from '../../../base/host/process.ts';
import { asNamespaceRoot, joinNamespaces } from '../mount-namespace.ts';

export type HostResolver = 'systemd-resolved' | 'dnsmasq' | 'networkmanager-dnsmasq' | 'networkmanager-resolved';

interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** With the rights of root, as after sudo; without them otherwise. */
  readonly isRoot?: boolean;
  /** Milliseconds until SIGKILL. */
  readonly timeout?: number;
}

const HERE = fileURLToPath(new URL('.', import.meta.url));

/**
 * A Debian of its own, in a mount and a network namespace: real resolvers and clients of Debian's packages (`fetchDebianRoot`) run there,
 * and what changes files or the network changes only its. `state` is a folder below /tmp; its `etc`, `var` and `usr/local` are the host's.
 */
export class DebianHost {
  readonly #root: string;
  readonly #child: ChildProcess;

  private constructor(root: string, child: ChildProcess) {
    this.#root = root;
    this.#child = child;
  }

  /** `folders` of the real host are there as well, under their own paths. */
  static async open(input: { root: string; state: string; resolver: HostResolver; folders: readonly string[] }): Promise<DebianHost> {
    const { root, state, resolver, folders } = input;
    await mkdir(state, { recursive: true });
    for (const name of ['host.sh', 'start-host.sh', 'systemctl.sh', 'dbus.conf']) {
      await copyFile(join(HERE, name), join(state, name));
    }
    await chmod(join(state, 'systemctl.sh'), 0o755);
    const [file = '', ...args] = [...asNamespaceRoot.slice(0, -1), '--net', '--', 'sh', join(state, 'host.sh'), root, state, resolver];
    const child = spawn(file, [...args, ...folders], { stdio: ['pipe', 'pipe', 'pipe'] });
    await untilReady(child);
    return new DebianHost(root, child);
  }

  /** Runs a command there. */
  run(command: readonly string[], { env = {}, cwd = '/', isRoot = false, timeout = 120_000 }: RunOptions = {}): Promise<RunResult> {
    const drop = isRoot ? [] : ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'];
    const [file = '', ...args] = [...this.join(), 'chroot', this.#root, 'env', '-C', cwd, ...drop, ...command];
    const base = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', TERM: 'dumb' };
    return runProgram(file, args, { env: { ...base, ...env }, timeout });
  }

  /** What comes before a command line of the real host that joins the namespaces, without the root. */
  join(): readonly string[] {
    return joinNamespaces(this.#child.pid ?? 0, ['-n']);
  }

  /** What a command that must not fail prints. */
  async must(command: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, options);
    if (code !== 0) {
      throw new Error(`${command.join(' ')} ended with ${code}\n${stdout}\n${stderr}`);
    }
    return stdout;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null) {
      this.#child.stdin?.end();
      await ended;
    }
  }
}

const untilReady = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000);
    });
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-1000);
      if (/^ready$/m.test(text)) {
        resolve();
      }
    });
    child.on('error', reject).on('exit', (code) => reject(new Error(`the host ended with ${code}\n${said}`)));
  });
