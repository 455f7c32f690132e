import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { root } from '../own-node.mjs';

const COMMAND_MS = 300_000;
/** What ends by itself shortly after its stack: the supervisor, and the edge that it serves. */
const SETTLE_MS = 60_000;

/** A home of its own, and the processes that live in it. */
export class SoakHome {
  stacks = [];

  constructor(dir, runtime) {
    this.dir = dir;
    this.runtime = runtime;
    this.env = { ...process.env, HYPR_HOME: dir, HYPR_RUNTIME_DIR: runtime };
  }

  add(stack) {
    this.stacks.push(stack);
  }

  /** Runs a command; throws for an error that is none of the catalogue's, and when it takes too long. */
  async hypr(args, cwd) {
    const result = await promisify(execFile)(join(root, 'bin', 'hypr'), args, {
      cwd,
      env: this.env,
      timeout: COMMAND_MS,
      killSignal: 'SIGKILL',
    }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error) => ({ code: error.killed ? 'late' : error.code, stdout: error.stdout ?? '', stderr: error.stderr ?? error.message }),
    );
    if (result.code === 'late' || /HYPR_INTERNAL|\n\s+at .*\.(?:ts|cjs|js):\d/.test(result.stderr)) {
      throw new Error(`hypr ${args.join(' ')} ended with ${result.code}\n${result.stderr}`);
    }
    return result;
  }

  /** Processes of this home that no command of ours is: supervisors, VMMs, gateways, share daemons. */
  processes() {
    return readdirSync('/proc').flatMap((pid) => {
      if (!/^\d+$/.test(pid) || Number(pid) === process.pid) {
        return [];
      }
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
        const isOurs =
          command.includes(this.dir) ||
          command.includes(this.runtime) ||
          readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`HYPR_HOME=${this.dir}\0`);
        return isOurs && command !== '' ? [{ pid: Number(pid), command }] : [];
      } catch {
        return [];
      }
    });
  }

  killOne(pick) {
    const all = this.processes();
    if (all.length > 0) {
      const { pid, command } = pick(all);
      console.log(`  kills ${pid}: ${command.slice(0, 100)}`);
      signal(pid, 'SIGKILL');
    }
  }

  killAll() {
    for (const { pid } of this.processes()) {
      signal(pid, 'SIGKILL');
    }
  }

  /** As a laptop that is closed: nobody runs for a while. */
  async sleep(ms) {
    const all = this.processes();
    for (const { pid } of all) {
      signal(pid, 'SIGSTOP');
    }
    await sleep(ms);
    for (const { pid } of all) {
      signal(pid, 'SIGCONT');
    }
  }

  /** What supervisors take, so that growth can be seen. */
  measure() {
    const supervisors = this.processes().filter(({ command }) => command.startsWith('hypr supervisor'));
    const [files, kib] = supervisors.reduce(([sum, memory], { pid }) => [sum + count(`/proc/${pid}/fd`), memory + rssOf(pid)], [0, 0]);
    return `${this.processes().length} processes, supervisors: ${supervisors.length}, ${files} files, ${Math.round(kib / 1024)} MiB`;
  }

  async mustBeEmpty() {
    for (const until = Date.now() + SETTLE_MS; this.processes().length > 0 && Date.now() < until; ) {
      await sleep(250);
    }
    const left = this.processes().map(({ pid, command }) => `${pid} ${command}`);
    const folders = ['volumes', 'machines'].flatMap((name) => list(join(this.dir, name)).map((each) => `${name}/${each}`));
    const sockets = list(this.runtime).flatMap((name) => list(join(this.runtime, name)).map((each) => `${this.runtime}/${name}/${each}`));
    const checked = await this.hypr(['system', 'check']);
    const told =
      checked.code === 0 && /^Images and records are whole$/m.test(checked.stderr) && checked.stderr.trim().split('\n').length === 1
        ? []
        : [checked.stderr + checked.stdout];
    const stacks = (await this.hypr(['ls', '-a', '-q'])).stdout.split('\n').filter(Boolean);
    const all = [...left, ...folders, ...sockets, ...told, ...stacks];
    if (all.length > 0) {
      throw new Error(`left behind:\n${all.join('\n')}`);
    }
  }
}

const list = (folder) => (existsSync(folder) ? readdirSync(folder) : []);

const signal = (pid, name) => {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended.
  }
};

const count = (folder) => {
  try {
    return readdirSync(folder).length;
  } catch {
    return 0;
  }
};

const rssOf = (pid) => {
  try {
    return Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
};
