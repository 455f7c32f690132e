import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { withDeadline } from '../../../base/deadline.ts';
import type { NetworkPrograms } from '../../../net/client/config.ts';
import type { NetworkNic, NetworkSpec } from '../../../net/types.ts';
import { ACK, arp, BROADCAST, FIN, type Frame, type Host, PSH, parseFrame, RST, SYN, tcp } from './frames.ts';

const SOURCES = fileURLToPath(new URL('../../../net/gateway', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../node_modules/.cache/gateway', import.meta.url));

/** The gateway, compiled from the tree as it is; HYPR_GVPROXY names another. Without Go the tests fail: they are what the network stands on. */
export const makeGateway = (): NetworkPrograms => {
  if (process.env.HYPR_GVPROXY !== undefined) {
    return { gvproxy: { file: process.env.HYPR_GVPROXY } };
  }
  const hash = createHash('sha256');
  for (const name of readdirSync(SOURCES, { encoding: 'utf8', recursive: true }).filter((each) => /^go\.(mod|sum)$|\.go$/.test(each))) {
    hash.update(`${name}\0`).update(readFileSync(join(SOURCES, name)));
  }
  const folder = join(CACHE, hash.digest('hex').slice(0, 12));
  const file = join(folder, 'gvproxy');
  if (!existsSync(file)) {
    mkdirSync(CACHE, { recursive: true });
    const staged = mkdtempSync(join(CACHE, 'making-'));
    const go = existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : 'go';
    execFileSync(go, ['build', '-trimpath', '-ldflags=-s -w', '-o', join(staged, 'gvproxy'), '.'], {
      cwd: SOURCES,
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' },
    });
    try {
      renameSync(staged, folder);
    } catch {
      // Another test file was first.
      rmSync(staged, { recursive: true, force: true });
    }
  }
  return { gvproxy: { file } };
};

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

/** The NIC of a peer. */
export const nicOf = (host: Host, changes: Partial<NetworkNic> = {}): NetworkNic => ({
  name: `m-${host.ip}`,
  mac: host.mac,
  addresses: [host.ip],
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
    // Frames that are still on their way when a test ends it are nobody's any more.
    this.#child.stdin?.on('error', () => {});
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
