import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';

const find = (name: string): string | undefined =>
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'].map((folder) => join(folder, name)).find(existsSync);

const isRoot = process.getuid?.() === 0;

/** OpenSSH's server, which tests may start when it is there; as root it wants a folder that its package makes. */
export const sshd = isRoot && !existsSync('/run/sshd') ? undefined : find('sshd');

/** A real sshd on loopback for whoever runs the test, by key; one process for each connection, none in between. */
export class SshServer {
  readonly #children = new Set<ChildProcess>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#serve(socket));
  readonly user = userInfo().username;
  /** What the server said of its connections. */
  log = '';

  constructor(
    private readonly folder: string,
    private readonly program: string,
  ) {
    mkdirSync(folder, { recursive: true });
    for (const name of ['host', 'other-host', 'client', 'stranger']) {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', join(folder, name)]);
    }
    writeFileSync(join(folder, 'authorized'), readFileSync(join(folder, 'client.pub')));
  }

  key(name: 'client' | 'stranger'): string {
    return join(this.folder, name);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The `ssh` of a folder for PATH: the real one, which knows the hosts of this server's file instead of the user's. */
  async start(hostKey: 'host' | 'other-host' | 'none'): Promise<string> {
    const lines = ['HostKey host', 'AuthorizedKeysFile authorized', 'PidFile none'];
    const config = lines.map((line) => line.replace(/(host|authorized)$/, (name) => join(this.folder, name)));
    const rest = ['StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'PermitRootLogin prohibit-password', 'LogLevel VERBOSE'];
    writeFileSync(join(this.folder, 'config'), `${[...config, ...rest].join('\n')}\n`);
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
    const known = join(this.folder, 'known_hosts');
    const key = hostKey === 'none' ? '' : readFileSync(join(this.folder, `${hostKey}.pub`), 'utf8');
    writeFileSync(known, key === '' ? '' : `[127.0.0.1]:${this.port} ${key}`);
    const bin = join(this.folder, 'bin');
    mkdirSync(bin);
    const args = ['-o', `UserKnownHostsFile=${known}`, '-o', 'GlobalKnownHostsFile=/dev/null', '-o', `Port=${this.port}`];
    writeFileSync(join(bin, 'ssh'), `#!/bin/sh\nexec ${find('ssh')} ${args.join(' ')} "$@"\n`);
    chmodSync(join(bin, 'ssh'), 0o755);
    return bin;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    for (const child of this.#children) {
      child.kill();
    }
    await new Promise((done) => this.#server.close(done));
  }

  #serve(socket: Socket): void {
    // The program reads and writes the connection itself.
    socket.pause().on('error', () => {});
    const child = spawn(this.program, ['-i', '-e', '-f', join(this.folder, 'config')], { stdio: [socket, socket, 'pipe'] });
    this.#children.add(child);
    this.#sockets.add(socket);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.log += text;
    });
    child.on('error', () => {});
    child.on('close', () => {
      socket.destroy();
      this.#children.delete(child);
      this.#sockets.delete(socket);
    });
  }
}

/** An agent that holds one key; ends with `close`. */
export const startAgent = async (socket: string, key: string): Promise<{ close(): void }> => {
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise<void>((done, fail) => {
    agent.stdout.once('data', () => done());
    agent.once('error', fail);
    agent.once('exit', () => fail(new Error('ssh-agent ended')));
  });
  execFileSync('ssh-add', ['-q', key], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'ignore' });
  return { close: () => void agent.kill() };
};
