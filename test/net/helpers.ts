import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { withDeadline } from '../../base/deadline.ts';
import type { NetworkPrograms } from '../../net/gvproxy-config.ts';
import type { NetworkSpec } from '../../net/types.ts';
import { ACK, arp, BROADCAST, FIN, type Frame, type Host, PSH, parseFrame, RST, SYN, tcp } from './frames.ts';

export const NO_GVPROXY = 'no gvproxy from 0.8.8 on; run hypr setup';

/** gvproxy ≥ 0.8.8 from HYPR_GVPROXY, a toolchain that `hypr setup` made, or PATH. */
export const findGvproxy = (): NetworkPrograms['gvproxy'] | undefined => {
  const candidates = [
    process.env.HYPR_GVPROXY,
    ...fromToolchain(),
    ...(process.env.PATH ?? '').split(':').map((dir) => join(dir, 'gvproxy')),
  ];
  const file = candidates.find((path) => path?.startsWith('/') && isExecutable(path) && takesConfig(path));
  return file === undefined ? undefined : { file, prefix: [] };
};

const fromToolchain = (): string[] => {
  try {
    const root = join(process.env.HYPR_HOME ?? join(homedir(), '.hypr'), 'toolchain');
    return readdirSync(root).flatMap((name) => [join(root, name, 'gvproxy'), join(root, name, 'bin', 'gvproxy')]);
  } catch {
    return [];
  }
};

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

const takesConfig = (path: string): boolean =>
  spawnSync(path, ['-help'], { encoding: 'utf8', timeout: 5000 }).stderr?.includes('-config') ?? false;

/** A short temporary folder: sockets go into it. */
export const makeFolder = (): { path: string; remove: () => void } => {
  const path = mkdtempSync(join(tmpdir(), 'hn-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
};

export const makeSpec = (folder: string, changes: Partial<NetworkSpec> = {}): NetworkSpec => ({
  name: 'shop_default',
  runDir: join(folder, 'run'),
  log: join(folder, 'network.log'),
  subnet: '10.89.7.0/24',
  gateway: '10.89.7.1',
  internal: false,
  mtu: 65520,
  hostAccess: false,
  ...changes,
});

/** A raw peer in a process of its own, to which the socket is handed as descriptor 3, as to a VMM. */
export class Peer {
  readonly host: Host;
  readonly #child: ChildProcess;
  readonly #seen: Frame[] = [];
  #wake: () => void = () => {};

  constructor(nic: Socket, host: Host) {
    this.host = host;
    this.#child = spawn(process.execPath, [fileURLToPath(new URL('l2-peer.mjs', import.meta.url))], {
      stdio: ['pipe', 'pipe', 'inherit', nic],
    });
    nic.destroy();
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        this.#seen.push(parseFrame(Buffer.from(line, 'hex')));
        this.#wake();
      });
    }
  }

  send(frame: Buffer): void {
    this.#child.stdin?.write(`${frame.toString('hex')}\n`);
  }

  /** The first frame, past or future, that the predicate picks; it is taken out. */
  receive<T extends Frame>(what: string, pick: (frame: Frame) => frame is T): Promise<T>;
  receive(what: string, pick: (frame: Frame) => boolean): Promise<Frame>;
  receive(what: string, pick: (frame: Frame) => boolean): Promise<Frame> {
    return withDeadline({ ms: 8000, what }, async (signal) => {
      for (;;) {
        const index = this.#seen.findIndex(pick);
        if (index >= 0) {
          return this.#seen.splice(index, 1)[0] as Frame;
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        signal.throwIfAborted();
      }
    });
  }

  has(pick: (frame: Frame) => boolean): boolean {
    return this.#seen.some(pick);
  }

  /** Makes itself known to the switch and learns an address. */
  async resolve(address: string): Promise<string> {
    this.send(arp(1, this.host, { mac: BROADCAST, ip: address }));
    const reply = await this.receive(`ARP of ${address}`, (frame) => frame.kind === 'arp' && frame.operation === 2 && frame.ip === address);
    return (reply as Extract<Frame, { kind: 'arp' }>).mac;
  }

  /** Accepts one TCP connection on a port, answers with what `reply` makes of the first data, and closes. */
  async serveOnce(port: number, reply: (data: Buffer) => Buffer): Promise<Buffer> {
    const isMine = (frame: Frame): frame is Extract<Frame, { kind: 'tcp' }> => frame.kind === 'tcp' && frame.target === port;
    const syn = await this.receive('SYN', (frame): frame is Extract<Frame, { kind: 'tcp' }> => isMine(frame) && (frame.flags & SYN) !== 0);
    const to = { mac: syn.fromMac, ip: syn.from };
    const ports = { source: port, target: syn.source };
    this.send(tcp(this.host, to, { ...ports, sequence: 100, acknowledge: syn.sequence + 1, flags: SYN | ACK, data: Buffer.alloc(0) }));
    const segment = await this.receive('data', (frame): frame is Extract<Frame, { kind: 'tcp' }> => isMine(frame) && frame.data.length > 0);
    const answer = reply(segment.data);
    const acknowledge = segment.sequence + segment.data.length + (segment.flags & FIN);
    this.send(tcp(this.host, to, { ...ports, sequence: 101, acknowledge, flags: ACK | PSH | FIN, data: answer }));
    return segment.data;
  }

  /** Answers the next attempt to connect to a port as a host does on which nobody listens. */
  async refuse(port: number): Promise<void> {
    const syn = await this.receive(
      'SYN',
      (frame): frame is Extract<Frame, { kind: 'tcp' }> => frame.kind === 'tcp' && frame.target === port,
    );
    const to = { mac: syn.fromMac, ip: syn.from };
    const segment = {
      source: port,
      target: syn.source,
      sequence: 0,
      acknowledge: syn.sequence + 1,
      flags: RST | ACK,
      data: Buffer.alloc(0),
    };
    this.send(tcp(this.host, to, segment));
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = new Promise((resolve) => this.#child.once('close', resolve));
      this.#child.kill('SIGKILL');
      await gone;
    }
  }
}

export const readText = (path: string): string => readFileSync(path, 'utf8');
