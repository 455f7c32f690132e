import { spawn } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { compileJail } from '../../net/compile-jail.ts';
import { startNetwork } from '../../net/gvproxy.ts';
import { GvproxyApi } from '../../net/gvproxy-api.ts';
import { buildGvproxyConfig, buildJailCommand, type NetworkPrograms, networkPaths } from '../../net/gvproxy-config.ts';
import { landlockAbi } from '../../net/landlock.ts';
import type { Network, NetworkSpec } from '../../net/types.ts';
import { needs } from '../support/needs.ts';
import { ACK, type Frame, type Host, PSH, RST, SYN, tcp, udp } from './frames.ts';
import { findGvproxy, makeFolder, makeSpec, NO_GVPROXY, Peer } from './helpers.ts';

const gvproxy = findGvproxy();
const GUEST: Host = { mac: '02:00:00:00:00:0a', ip: '10.89.7.3' };
type Tcp = Extract<Frame, { kind: 'tcp' }>;

// What a guest sends, frame by frame, through a real gvproxy.
needs(gvproxy === undefined && NO_GVPROXY).describe('a hostile guest', () => {
  let tools: ReturnType<typeof makeFolder>;
  let programs: NetworkPrograms;
  let folder: ReturnType<typeof makeFolder>;
  let network: Network;
  let peer: Peer;
  let gateway: string;
  let server: Server;
  let reached: number;
  let port: number;

  beforeAll(async () => {
    tools = makeFolder();
    programs = { gvproxy: gvproxy ?? { file: '', prefix: [] }, jail: await compileJail(tools.path) };
  });
  afterAll(() => tools.remove());
  beforeEach(async () => {
    folder = makeFolder();
    reached = 0;
    server = createServer((socket) => {
      reached += 1;
      socket.on('error', () => {}).destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    const address = server.address();
    port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  });
  afterEach(async () => {
    await peer?.close();
    await network?.stop();
    await new Promise((resolve) => server.close(resolve));
    folder.remove();
  });

  const start = async (changes: Partial<NetworkSpec> = {}): Promise<void> => {
    network = await startNetwork(makeSpec(folder.path, changes), programs);
    peer = new Peer(await network.connectNic(), GUEST);
    gateway = await peer.resolve('10.89.7.1');
  };

  let source = 40_000;
  const syn = (address: string, target: number): number => {
    source += 1;
    const to = { mac: gateway, ip: address };
    peer.send(tcp(GUEST, to, { source, target, sequence: 7, acknowledge: 0, flags: SYN, data: Buffer.alloc(0) }));
    return source;
  };
  const answerTo = (from: number): Promise<Tcp> =>
    peer.receive('an answer to SYN', (frame): frame is Tcp => frame.kind === 'tcp' && frame.target === from);

  /** A request to the API on the gateway, over hand-made TCP. */
  const ask = async (path: string, body: object): Promise<string> => {
    const from = syn('10.89.7.1', 80);
    const open = await answerTo(from);
    expect(open.flags & SYN).toBe(SYN);
    const text = JSON.stringify(body);
    const data = Buffer.from(`POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    const to = { mac: gateway, ip: '10.89.7.1' };
    peer.send(tcp(GUEST, to, { source: from, target: 80, sequence: 8, acknowledge: open.sequence + 1, flags: ACK | PSH, data }));
    const reply = await peer.receive(
      'the answer',
      (frame): frame is Tcp => frame.kind === 'tcp' && frame.target === from && frame.data.length > 0,
    );
    return reply.data.toString('latin1');
  };

  /** The answer of the gateway's DNS: its response code and, with one answer, the address. */
  const lookUp = async (name: string): Promise<{ code: number; address: string | undefined }> => {
    const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
    const head = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    const data = Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
    peer.send(udp({ from: GUEST, to: { mac: gateway, ip: '10.89.7.1' }, source: 5353, target: 53, data }));
    const reply = await peer.receive('a DNS answer', (frame): frame is Extract<Frame, { kind: 'udp' }> => frame.kind === 'udp');
    const answers = reply.data.readUInt16BE(6);
    return { code: (reply.data[3] ?? 0) & 15, address: answers === 0 ? undefined : [...reply.data.subarray(-4)].join('.') };
  };

  it('cannot remove files or open TCP ports through the API of the gateway', async () => {
    await start();
    const victim = join(folder.path, 'victim');
    writeFileSync(victim, 'precious');
    const removal = await ask('/services/forwarder/expose', { protocol: 'unix', local: victim, remote: 'tcp://10.89.7.3:80' });
    expect(removal).toContain('500 Internal Server Error');
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    if ((await landlockAbi(programs.jail)) >= 4) {
      const opening = await ask('/services/forwarder/expose', { protocol: 'tcp', local: '127.0.0.1:28090', remote: '10.89.7.3:80' });
      expect(opening).toContain('500 Internal Server Error');
      expect(opening).toContain('permission denied');
    }
  });

  it('could do so without the jail: the same request removes a file', async () => {
    const spec = makeSpec(folder.path);
    mkdirSync(spec.runDir);
    const paths = networkPaths(spec.runDir);
    writeFileSync(paths.config, buildGvproxyConfig(spec));
    const victim = join(folder.path, 'victim');
    writeFileSync(victim, 'precious');
    const child = spawn(programs.gvproxy.file, ['-config', paths.config], { stdio: 'ignore' });
    const api = new GvproxyApi(paths.socket);
    try {
      await expect.poll(() => existsSync(paths.qemuSocket), { timeout: 5000, interval: 10 }).toBe(true);
      const answer = await api.post('/services/forwarder/expose', { protocol: 'unix', local: victim, remote: 'tcp://10.89.7.3:80' });
      expect(answer.status).toBe(200);
      expect(statSync(victim).isSocket()).toBe(true);
    } finally {
      api.close();
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
    }
  });

  it('does not reach the loopback of the host by any address', async () => {
    await start();
    // The host's address and 0.0.0.0 lead nowhere, which is told at once; the stack drops 127.0.0.0/8 unanswered.
    syn('127.0.0.1', port);
    syn('127.1.2.3', port);
    peer.send(udp({ from: GUEST, to: { mac: gateway, ip: '10.89.7.254' }, source: 1, target: 9, data: Buffer.from('x') }));
    expect((await answerTo(syn('10.89.7.254', port))).flags & (SYN | RST)).toBe(RST);
    syn('0.0.0.0', port);
    expect((await answerTo(syn('10.89.7.254', port))).flags & (SYN | RST)).toBe(RST);
    expect(peer.has((frame) => frame.kind === 'tcp' && (frame.flags & SYN) !== 0)).toBe(false);
    expect(reached).toBe(0);
  });

  it('reaches it under the host address where that is allowed', async () => {
    await start({ hostAccess: true });
    const arrived = new Promise((resolve) => server.once('connection', resolve));
    expect(await peer.resolve('10.89.7.254')).toBe(gateway);
    expect((await answerTo(syn('10.89.7.254', port))).flags & SYN).toBe(SYN);
    await arrived;
    expect(reached).toBe(1);
    expect(await lookUp('host.docker.internal')).toEqual({ code: 0, address: '10.89.7.254' });
    expect(await lookUp('host.hypr')).toEqual({ code: 0, address: '10.89.7.254' });
    expect(await lookUp('other.hypr')).toEqual({ code: 3, address: undefined });
  });

  it('does not get out of an internal network', async () => {
    await start({ internal: true, hostAccess: true });
    const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    const lan = own.find((address) => address.family === 'IPv4' && !address.internal)?.address ?? '192.0.2.1';
    for (const address of [lan, '10.89.7.254', '8.8.8.8']) {
      expect((await answerTo(syn(address, port))).flags & (SYN | RST)).toBe(RST);
    }
    expect(reached).toBe(0);
    expect(await lookUp('host.docker.internal')).toEqual({ code: 3, address: undefined });
    expect(await lookUp('www.example.org')).toEqual({ code: 3, address: undefined });
  });
});

const PLAIN = 64_123;
const isRoot = process.getuid?.() === 0;

/** Root tries it as somebody else; anybody else is a plain user already. */
const giveAway = (path: string): void => {
  if (isRoot) {
    chownSync(path, PLAIN, PLAIN);
  }
};

needs(gvproxy === undefined && NO_GVPROXY).describe('the jail of a plain user', () => {
  it.each([{ internal: false }, { internal: true }])('holds (internal: $internal)', async ({ internal }) => {
    const folder = makeFolder();
    chmodSync(folder.path, 0o755);
    const programs = { gvproxy: { file: join(folder.path, 'gvproxy'), prefix: [] }, jail: await compileJail(join(folder.path, 'bin')) };
    chmodSync(join(folder.path, 'bin'), 0o755);
    chmodSync(programs.jail, 0o755);
    copyFileSync(gvproxy?.file ?? '', programs.gvproxy.file);
    const spec = makeSpec(folder.path, { internal });
    const home = join(folder.path, 'home');
    for (const path of [spec.runDir, home]) {
      mkdirSync(path);
      giveAway(path);
    }
    const paths = networkPaths(spec.runDir);
    writeFileSync(paths.config, buildGvproxyConfig(spec));
    const victim = join(home, 'victim');
    writeFileSync(victim, 'precious');
    giveAway(victim);
    const { file, args } = buildJailCommand(spec, programs, 1);
    const drop = isRoot ? ['--reuid', String(PLAIN), '--regid', String(PLAIN), '--clear-groups'] : [];
    const child = spawn('setpriv', [...drop, '--no-new-privs', file, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
    const api = new GvproxyApi(paths.socket);
    try {
      const status = await new Promise<string>((resolve) => child.stdout.once('data', (data) => resolve(String(data))));
      expect(status).toMatch(internal ? /seccomp=1|netns=1/ : /files=1|seccomp=1/);
      await expect.poll(() => existsSync(paths.qemuSocket), { timeout: 5000, interval: 10 }).toBe(true);
      const expose = (local: string) => api.post('/services/forwarder/expose', { protocol: 'unix', local, remote: 'tcp://10.89.7.3:80' });
      expect((await expose(victim)).status).toBe(500);
      expect((await expose(join(home, 'new'))).status).toBe(500);
      expect((await expose(join(spec.runDir, 'x'))).status).toBe(200);
      expect(readFileSync(victim, 'utf8')).toBe('precious');
    } finally {
      api.close();
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      folder.remove();
    }
  });
});
