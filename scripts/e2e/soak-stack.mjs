import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from '../own-node.mjs';

const SOON_MS = 60_000;

/** A stack, and what its volume must have in it. */
export class SoakStack {
  #written = 0;
  /** Of these values the volume has one: the last that was acknowledged, and those tried since. */
  #possible = [''];
  #isUp = false;

  constructor(home, name, dir) {
    this.home = home;
    this.name = name;
    this.dir = dir;
  }

  static compose(name) {
    return `name: soak-${name}
services:
  app:
    image: busybox
    command: sh -c 'while sleep 1; do date; done'
    restart: always
    volumes: [data:/data, .:/src]
  web:
    image: busybox
    command: httpd -f -p 80 -h /etc
    init: true
    ports: ["80"]
    healthcheck: {test: wget -qO- http://127.0.0.1/hostname, interval: 2s}
    depends_on: [app]
volumes: {data: {}}
`;
  }

  hypr(...args) {
    return this.home.hypr(['compose', ...args], this.dir);
  }

  async must(...args) {
    const result = await this.hypr(...args);
    if (result.code !== 0) {
      throw new Error(`hypr compose ${args.join(' ')} ended with ${result.code}\n${result.stderr}`);
    }
    return result.stdout;
  }

  async up(...more) {
    await this.must('up', '-d', ...more);
    this.#isUp = true;
  }

  async down(...more) {
    await this.must('down', '-t', '1', '--remove-orphans', ...more);
    this.#isUp = false;
    if (more.includes('-v')) {
      this.#possible = [''];
    }
  }

  async #needUp() {
    if (!this.#isUp || (await this.must('ps', '--services', '--status', 'running')).trim().split('\n').length < 2) {
      await this.up();
    }
  }

  async write() {
    await this.#needUp();
    this.#written += 1;
    const value = String(this.#written);
    this.#possible.push(value);
    await this.must('exec', '-T', 'app', 'sh', '-c', `echo ${value} > /data/new && sync && mv /data/new /data/value && sync`);
    this.#possible = [value];
  }

  async read() {
    await this.#needUp();
    const value = (await this.must('exec', '-T', 'app', 'sh', '-c', 'cat /data/value 2>/dev/null || true')).trim();
    if (!this.#possible.includes(value)) {
      throw new Error(`soak-${this.name}: the volume has "${value}", and was acknowledged ${JSON.stringify(this.#possible)}`);
    }
  }

  /** Where a process of its machine was killed it is found when somebody needs the guest, whose channel breaks then: its machine starts again. */
  async readSoon() {
    for (const until = Date.now() + SOON_MS; ; await this.up('--wait')) {
      try {
        await this.read();
        return;
      } catch (error) {
        if (!/GUEST_LOST|STACK_NOT_RUNNING/.test(error.message) || Date.now() > until) {
          throw error;
        }
      }
    }
  }

  async suspend() {
    await this.#needUp();
    await this.must('suspend');
    await this.must('resume');
    await this.read();
  }

  async pause() {
    await this.#needUp();
    await this.must('pause');
    await this.must('unpause');
  }

  async run() {
    const said = await this.must('run', '--rm', '-T', '--no-deps', 'app', 'echo', 'hello');
    if (said !== 'hello\n') {
      throw new Error(`run printed ${JSON.stringify(said)}`);
    }
  }

  /** After something bad has happened to a process of any stack, `up` makes it right, and what was acknowledged is there. */
  async afterwards(happens) {
    await this.#needUp();
    await happens();
    await this.must('ps', '-a');
    for (const stack of this.home.stacks.filter((each) => each === this || each.#isUp)) {
      await stack.up('--wait');
      await stack.readSoon();
    }
  }

  killCommand(args, ms) {
    const child = spawn(join(root, 'bin', 'hypr'), ['compose', ...args], { cwd: this.dir, env: this.home.env, stdio: 'ignore' });
    const timer = setTimeout(() => child.kill('SIGKILL'), ms);
    return new Promise((resolve) =>
      child.once('exit', () => {
        clearTimeout(timer);
        resolve();
      }),
    );
  }
}
