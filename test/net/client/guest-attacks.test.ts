import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildGatewayConfig } from '../../../net/client/config.ts';
import { GatewayControl } from '../../../net/client/control.ts';
import { startNetwork } from '../../../net/client/network.ts';
import type { Network, NetworkEvent, NetworkNic, NetworkSpec } from '../../../net/types.ts';
import { onlyWhere } from '../../support/needs.ts';
import { ACK, arp, BROADCAST, ethernet, type Frame, type Host, icmp, PSH, RST, SYN, tcp, udp } from './frames.ts';
import { makeFolder, makeGateway, makeSpec, nicOf, Peer } from './helpers.ts';

const programs = makeGateway();
const GUEST: Host = { mac: '02:00:00:00:00:0a', ip: '10.89.7.3' };
const VICTIM: Host = { mac: '02:00:00:00:00:0b', ip: '10.89.7.4' };
const OTHER: Host = { mac: '02:00:00:00:00:0c', ip: '10.89.7.5' };
const GATEWAY = '10.89.7.1';
const HOST = '10.89.7.254';
type Tcp = Extract<Frame, { kind: 'tcp' }>;
type Udp = Extract<Frame, { kind: 'udp' }>;
type Icmp = Extract<Frame, { kind: 'icmp' }>;

/** An address of this host that is not on its loopback. */
const ownAddress = (): string | undefined =>
  Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find((address) => address.family === 'IPv4' && !address.internal)?.address;

// What a guest sends, frame by frame, through a real gateway.
describe('a hostile guest', () => {
  let folder: ReturnType<typeof makeFolder>;
  let network: Network;
  let peers: Peer[];
  let peer: Peer;
  let gateway: string;
  let server: Server;
  let reached: number;
  let port: number;
  let events: NetworkEvent[];

  beforeEach(async () => {
    folder = makeFolder();
    peers = [];
    events = [];
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
    await Promise.all(peers.map((each) => each.close()));
    await network?.stop();
    await new Promise((resolve) => server.close(resolve));
    folder.remove();
  });

  const join2 = async (host: Host, nic: Partial<NetworkNic> = {}): Promise<Peer> => {
    const made = new Peer(await network.connectNic(nicOf(host, nic)), host);
    peers.push(made);
    return made;
  };
  const start = async (changes: Partial<NetworkSpec> = {}, nic: Partial<NetworkNic> = {}): Promise<void> => {
    network = await startNetwork(makeSpec(folder.path, changes), programs);
    network.onEvent((event) => events.push(event));
    peer = await join2(GUEST, nic);
    gateway = await peer.resolve(GATEWAY);
  };

  let source = 40_000;
  const syn = (address: string, target: number, from = peer): number => {
    source += 1;
    const to = { mac: gateway, ip: address };
    from.send(tcp(from.host, to, { source, target, sequence: 7, acknowledge: 0, flags: SYN, data: Buffer.alloc(0) }));
    return source;
  };
  const answerTo = (from: number, at = peer): Promise<Tcp> =>
    at.receive('an answer to SYN', (frame): frame is Tcp => frame.kind === 'tcp' && frame.target === from);
  const isRefused = async (address: string, target: number): Promise<boolean> =>
    ((await answerTo(syn(address, target))).flags & (SYN | RST)) === RST;

  let asked = 5353;
  /** The answer of the gateway's DNS: its response code and, with one answer, the address. */
  const lookUp = async (name: string, at = peer): Promise<{ code: number; address: string | undefined }> => {
    const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
    const head = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    const data = Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
    asked += 1;
    const mine = asked;
    at.send(udp({ from: at.host, to: { mac: gateway, ip: GATEWAY }, source: mine, target: 53, data }));
    const reply = await at.receive('a DNS answer', (frame): frame is Udp => frame.kind === 'udp' && frame.target === mine);
    const answers = reply.data.readUInt16BE(6);
    return { code: (reply.data[3] ?? 0) & 15, address: answers === 0 ? undefined : [...reply.data.subarray(-4)].join('.') };
  };

  it('finds nothing on the gateway but DNS', async () => {
    await start();
    for (const target of [1, 22, 67, 80, 443, 2222, 5353, 8080, port]) {
      expect(await isRefused(GATEWAY, target)).toBe(true);
    }
    expect((await answerTo(syn(GATEWAY, 53))).flags & SYN).toBe(SYN);
    for (const target of [67, 68, 80, 123, 5353]) {
      peer.send(udp({ from: GUEST, to: { mac: gateway, ip: GATEWAY }, source: 68, target, data: Buffer.alloc(240, 1) }));
    }
    const unreachable = await peer.receive('an answer that there is none', (frame): frame is Icmp => frame.kind === 'icmp');
    expect(unreachable).toMatchObject({ type: 3, code: 3 });
    expect(peer.has((frame) => frame.kind === 'udp')).toBe(false);
    expect(await lookUp('gateway.hypr')).toEqual({ code: 0, address: GATEWAY });
  });

  it('does not reach the loopback of the host by any address', async () => {
    await start();
    const sourcePorts = [
      '127.0.0.1',
      '127.1.2.3',
      '127.255.255.254',
      '0.0.0.0',
      '0.0.0.1',
      '169.254.169.254',
      '224.0.0.1',
      '255.255.255.255',
      HOST,
    ].map((address) => syn(address, port));
    for (const address of ['127.0.0.1', '0.0.0.0', '169.254.169.254', '10.89.7.255', HOST]) {
      peer.send(udp({ from: GUEST, to: { mac: gateway, ip: address }, source: 1, target: port, data: Buffer.from('x') }));
    }
    // Other addresses of the subnet are nobody's, inside or outside.
    expect(await isRefused('10.89.7.200', port)).toBe(true);
    expect(await isRefused(HOST, port)).toBe(true);
    expect(
      sourcePorts.some((from) => peer.has((frame) => frame.kind === 'tcp' && frame.target === from && (frame.flags & SYN) !== 0)),
    ).toBe(false);
    expect(reached).toBe(0);
    await expect.poll(() => events.map(({ why }) => why), { timeout: 3000 }).toContain('address');
  });

  it('reaches it under the host address where that is allowed to it, and nobody else does', async () => {
    await start({ hostAccess: true }, { host: true });
    const other = await join2(OTHER);
    await other.resolve(GATEWAY);
    const arrived = new Promise((resolve) => server.once('connection', resolve));
    expect(await peer.resolve(HOST)).toBe(gateway);
    expect((await answerTo(syn(HOST, port))).flags & SYN).toBe(SYN);
    await arrived;
    expect(reached).toBe(1);
    expect(await lookUp('host.docker.internal')).toEqual({ code: 0, address: HOST });
    expect(await lookUp('HOST.hypr')).toEqual({ code: 0, address: HOST });
    expect(await lookUp('other.hypr')).toEqual({ code: 3, address: undefined });
    expect(await lookUp('host.docker.internal', other)).toEqual({ code: 3, address: undefined });
    expect((await answerTo(syn(HOST, port, other), other)).flags & (SYN | RST)).toBe(RST);
    expect(reached).toBe(1);
  });

  it('reaches a service of the host under its address in the outer network, over TCP and UDP, as with docker', async () => {
    const own = ownAddress();
    expect(own).toBeDefined();
    await start();
    const echo = createSocket('udp4', (data, from) => echo.send(data, from.port, from.address));
    await new Promise<void>((resolve) => echo.bind(0, own, resolve));
    expect((await answerTo(syn(own ?? '', port))).flags & SYN).toBe(SYN);
    peer.send(udp({ from: GUEST, to: { mac: gateway, ip: own ?? '' }, source: 99, target: echo.address().port, data: Buffer.from('out') }));
    const back = await peer.receive('the echo', (frame): frame is Udp => frame.kind === 'udp');
    expect(back).toMatchObject({ from: own, target: 99 });
    expect(back.data.toString()).toBe('out');
    await new Promise<void>((resolve) => echo.close(() => resolve()));
  });

  it('does not get out of an internal network', async () => {
    await start({ internal: true, hostAccess: true }, { host: true });
    for (const address of [ownAddress() ?? '192.0.2.1', HOST, '8.8.8.8']) {
      expect(await isRefused(address, port)).toBe(true);
    }
    expect(reached).toBe(0);
    expect(await lookUp('host.docker.internal')).toEqual({ code: 3, address: undefined });
    expect(await lookUp('www.example.org')).toEqual({ code: 3, address: undefined });
    peer.send(icmp(GUEST, { mac: gateway, ip: '8.8.8.8' }, 8));
    expect(await peer.receive('what became of the ping', (frame): frame is Icmp => frame.kind === 'icmp')).toMatchObject({
      type: 3,
      from: GATEWAY,
    });
  });

  it('is told the truth by ping: the gateway answers for itself and for nobody else', async () => {
    await start();
    const next = (): Promise<Icmp> => peer.receive('an answer', (frame): frame is Icmp => frame.kind === 'icmp');
    peer.send(icmp(GUEST, { mac: gateway, ip: GATEWAY }, 8));
    expect(await next()).toMatchObject({ type: 0, from: GATEWAY });
    for (const ip of ['127.0.0.1', '169.254.169.254', '10.89.7.77', HOST]) {
      peer.send(icmp(GUEST, { mac: gateway, ip }, 8));
      expect(await next()).toMatchObject({ type: 3, from: GATEWAY });
    }
    // TEST-NET-3: it is nobody's, so that an answer would be a lie.
    peer.send(icmp(GUEST, { mac: gateway, ip: '203.0.113.80' }, 8));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(peer.has((frame) => frame.kind === 'icmp' && frame.type === 0)).toBe(false);
  });

  it('cannot be another machine, by MAC, address, ARP or neighbour discovery', async () => {
    await start();
    const victim = await join2(VICTIM);
    const other = await join2(OTHER);
    await victim.resolve(GATEWAY);
    await other.resolve(GATEWAY);
    const hello = (from: Host, to: Host, text: string): Buffer => udp({ from, to, source: 1, target: 2, data: Buffer.from(text) });
    const attempts = [
      hello({ ...GUEST, mac: VICTIM.mac }, OTHER, 'mac'),
      hello({ ...GUEST, ip: VICTIM.ip }, OTHER, 'address'),
      hello({ ...GUEST, ip: GATEWAY }, OTHER, 'gateway'),
      hello({ ...GUEST, mac: gateway }, OTHER, 'gateway mac'),
      arp(2, { mac: GUEST.mac, ip: GATEWAY }, OTHER),
      arp(2, { mac: GUEST.mac, ip: VICTIM.ip }, OTHER),
      arp(1, { mac: GUEST.mac, ip: VICTIM.ip }, { mac: BROADCAST, ip: VICTIM.ip }),
      arp(2, { mac: VICTIM.mac, ip: VICTIM.ip }, OTHER),
      ethernet(OTHER.mac, GUEST.mac, 0x88cc, Buffer.alloc(64)),
      ethernet(OTHER.mac, GUEST.mac, 0x8100, Buffer.alloc(64)),
      ethernet(OTHER.mac, GUEST.mac, 0x86dd, Buffer.alloc(64, 0x60)),
      ethernet(OTHER.mac, GUEST.mac, 0x0800, Buffer.alloc(8)),
    ];
    for (const frame of attempts) {
      peer.send(frame);
    }
    peer.send(hello(GUEST, OTHER, 'last'));
    const got = await other.receive('the last one', (frame): frame is Udp => frame.kind === 'udp');
    expect(got.data.toString()).toBe('last');
    expect(other.has((frame) => frame.kind !== 'other' || true)).toBe(false);
    const { machines } = await network.state();
    // IPv6, which this network has not, is dropped without being an attack.
    expect(machines.find(({ mac }) => mac === GUEST.mac)).toMatchObject({ spoofed: attempts.length - 1 });
    // What the victim is sent still reaches it, and it alone.
    other.send(hello(OTHER, VICTIM, 'for the victim'));
    await victim.receive('it', (frame) => frame.kind === 'udp');
    expect(peer.has((frame) => frame.kind === 'udp')).toBe(false);
  });

  it('cannot answer for the name server of the network what another machine asks it', async () => {
    await start();
    const victim = await join2(VICTIM);
    await victim.resolve(GATEWAY);
    const forged = Buffer.from([0x12, 0x34, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 89, 7, 66]);
    // The port that it asks from next.
    const target = asked + 1;
    for (const from of [
      { mac: GUEST.mac, ip: GATEWAY },
      { mac: gateway, ip: GATEWAY },
    ]) {
      peer.send(udp({ from, to: VICTIM, source: 53, target, data: forged }));
    }
    expect(await lookUp('gateway.hypr', victim)).toEqual({ code: 0, address: GATEWAY });
    const spoofed = async () => (await network.state()).machines.find(({ mac }) => mac === GUEST.mac)?.spoofed;
    await expect.poll(spoofed).toBe(2);
    expect(victim.has((frame) => frame.kind === 'udp')).toBe(false);
  });

  it('cannot break the stream of another, or the gateway, by frames that are none', async () => {
    await start();
    const victim = await join2(VICTIM);
    await victim.resolve(GATEWAY);
    for (const size of [0, 1, 13, 14, 15, 33]) {
      peer.send(Buffer.alloc(size, 0xff));
    }
    peer.send(ethernet(gateway, GUEST.mac, 0x0800, Buffer.alloc(20, 0x4f)));
    peer.send(ethernet(gateway, GUEST.mac, 0x0806, Buffer.alloc(3)));
    const nic = await network.connectNic(nicOf(OTHER));
    nic.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
    await new Promise((resolve) => nic.once('close', resolve).resume());
    await expect.poll(() => events.find(({ event }) => event === 'detached')?.why, { timeout: 3000 }).toContain('too long');
    peer.send(udp({ from: GUEST, to: VICTIM, source: 1, target: 2, data: Buffer.from('well') }));
    await victim.receive('a datagram', (frame) => frame.kind === 'udp');
  });

  it('connects only to what its rules allow, and every refusal is told', async () => {
    const own = ownAddress() ?? '';
    await start(
      {},
      { egress: { default: 'deny', rules: [{ action: 'allow', to: [`${own}/32`], protocol: 'tcp', ports: [String(port)] }] } },
    );
    expect((await answerTo(syn(own, port))).flags & SYN).toBe(SYN);
    expect(await isRefused(own, port === 1 ? 2 : port - 1)).toBe(true);
    expect(await isRefused('8.8.8.8', 443)).toBe(true);
    peer.send(udp({ from: GUEST, to: { mac: gateway, ip: '8.8.8.8' }, source: 1, target: 53, data: Buffer.from('x') }));
    // A name server is a way out, too.
    expect(await lookUp('secret.attacker.example')).toEqual({ code: 5, address: undefined });
    await expect
      .poll(
        () =>
          events
            .filter(({ why }) => why === 'policy')
            .map(({ protocol, to, name }) => `${protocol} ${to ?? name}`)
            .sort(),
        { timeout: 3000 },
      )
      .toEqual([`tcp ${own}:${port === 1 ? 2 : port - 1}`, 'dns secret.attacker.example', 'tcp 8.8.8.8:443', 'udp 8.8.8.8:53'].sort());
  });

  it('loses connections that new rules forbid', async () => {
    const own = ownAddress() ?? '';
    await start();
    server.removeAllListeners('connection');
    const held = new Promise<void>((resolve) =>
      server.once('connection', (socket) =>
        socket
          .on('error', () => {})
          .on('close', () => resolve())
          .resume(),
      ),
    );
    expect((await answerTo(syn(own, port))).flags & SYN).toBe(SYN);
    await network.setPolicy(GUEST.mac, { egress: { default: 'deny', rules: [] } });
    await held;
    expect(await isRefused(own, port)).toBe(true);
  });

  it('opens connections to other machines only as its rules allow, and may answer them', async () => {
    await start({}, { peers: { default: 'deny', rules: [{ action: 'allow', to: [VICTIM.ip], protocol: 'tcp', ports: ['80'] }] } });
    const victim = await join2(VICTIM);
    await victim.resolve(GATEWAY);
    const to = (target: number, flags: number): Buffer =>
      tcp(GUEST, VICTIM, { source: 5, target, sequence: 1, acknowledge: 1, flags, data: Buffer.alloc(0) });
    peer.send(to(81, SYN));
    peer.send(udp({ from: GUEST, to: VICTIM, source: 5, target: 80, data: Buffer.from('no') }));
    peer.send(icmp(GUEST, VICTIM, 8));
    peer.send(to(80, SYN));
    const first = await victim.receive('the allowed one', (frame) => frame.kind !== 'arp');
    expect(first).toMatchObject({ kind: 'tcp', target: 80 });
    victim.send(udp({ from: VICTIM, to: GUEST, source: 7, target: 9, data: Buffer.from('question') }));
    await peer.receive('the question', (frame) => frame.kind === 'udp');
  });

  it('cannot make the gateway grow without limit: 25,000 datagram flows leave it under 100 MB', async () => {
    const own = ownAddress() ?? '';
    const sink = createSocket('udp4');
    await new Promise<void>((resolve) => sink.bind(0, own, resolve));
    await start();
    const to = { mac: gateway, ip: own };
    for (let flow = 0; flow < 25_000; flow += 1) {
      peer.send(udp({ from: GUEST, to, source: 10_000 + flow, target: sink.address().port, data: Buffer.from('x') }));
    }
    await expect.poll(async () => (await network.state()).machines[0]?.udpOpened, { timeout: 15_000, interval: 100 }).toBe(25_000);
    const { machines } = await network.state();
    // Fewer where this host lets a process have few descriptors.
    expect(machines[0]?.udp).toBeGreaterThan(500);
    expect(machines[0]?.udp).toBeLessThanOrEqual(4096);
    const { pid } = network.record.process;
    const rss = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    expect(rss).toBeLessThan(100 * 1024);
    // Its descriptors cannot be listed by the same user, either; the table of them doubles as it grows.
    expect(Number(/FDSize:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])).toBeLessThanOrEqual(8192);
    await expect.poll(() => events.find(({ event }) => event === 'limited')?.why, { timeout: 3000 }).toBe('datagram flows');
    await new Promise<void>((resolve) => sink.close(() => resolve()));
  }, 60_000);

  it('has a thousand connections open at a time, and each of them carries', async () => {
    const open = new Set<Socket>();
    const holding = createServer((socket) => open.add(socket.on('error', () => {})));
    await new Promise<void>((resolve) => holding.listen(0, '0.0.0.0', resolve));
    const { port: target } = holding.address() as AddressInfo;
    await start();
    const own = ownAddress() ?? '';
    const to = { mac: gateway, ip: own };
    const lines: Array<{ source: number; acknowledge: number }> = [];
    // At most 256 of a machine's connections wait for an answer at a time.
    for (let batch = 0; batch < 10; batch += 1) {
      const sources = Array.from({ length: 100 }, () => syn(own, target));
      for (const source of sources) {
        const answer = await answerTo(source);
        expect(answer.flags & (SYN | ACK)).toBe(SYN | ACK);
        lines.push({ source, acknowledge: answer.sequence + 1 });
        peer.send(tcp(GUEST, to, { source, target, sequence: 8, acknowledge: answer.sequence + 1, flags: ACK, data: Buffer.alloc(0) }));
      }
    }
    await expect.poll(() => open.size, { timeout: 10_000 }).toBe(1000);
    expect((await network.state()).tcp).toBe(1000);
    const said = Promise.all([...open].map(async (socket) => String((await once(socket, 'data'))[0])));
    for (const { source, acknowledge } of lines) {
      peer.send(tcp(GUEST, to, { source, target, sequence: 8, acknowledge, flags: ACK | PSH, data: Buffer.from(String(source)) }));
    }
    expect((await said).sort()).toEqual(lines.map(({ source }) => String(source)).sort());
    for (const socket of open) {
      socket.destroy();
    }
    await new Promise((resolve) => holding.close(resolve));
  }, 60_000);

  it('gets an answer to each of ten thousand questions', async () => {
    await start();
    const question = Buffer.concat([
      Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      ...['gateway', 'hypr', ''].map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
      Buffer.from([0, 1, 0, 1]),
    ]);
    const isAnswer = (frame: Frame): frame is Udp => frame.kind === 'udp' && frame.source === 53;
    const ids = new Set<number>();
    for (let id = 0; id < 10_000; id += 1) {
      const data = Buffer.from(question);
      data.writeUInt16BE(id, 0);
      peer.send(udp({ from: GUEST, to: { mac: gateway, ip: GATEWAY }, source: 20_000 + (id % 500), target: 53, data }));
      // So many are on their way.
      if (id >= 500) {
        ids.add((await peer.receive('a DNS answer', isAnswer)).data.readUInt16BE(0));
      }
    }
    while (ids.size < 10_000) {
      ids.add((await peer.receive('the last DNS answers', isAnswer)).data.readUInt16BE(0));
    }
    expect(ids.size).toBe(10_000);
  }, 60_000);

  it('holds nobody up with connections that are never answered', async () => {
    await start();
    const other = await join2(OTHER);
    await other.resolve(GATEWAY);
    for (let dial = 0; dial < 300; dial += 1) {
      syn('203.0.113.80', 80);
    }
    const began = Date.now();
    expect((await answerTo(syn(ownAddress() ?? '', port, other), other)).flags & SYN).toBe(SYN);
    expect(Date.now() - began).toBeLessThan(1000);
  });
});

const PLAIN = 64_123;
const canDrop = process.getuid?.() === 0 && spawnSync('setpriv', ['--version']).status === 0;

onlyWhere(!canDrop && 'only root can become another user').describe('the fence of a plain user', () => {
  it.each([{ internal: false }, { internal: true }])('holds (internal: $internal)', async ({ internal }) => {
    const folder = makeFolder();
    chmodSync(folder.path, 0o755);
    const program = join(folder.path, 'gvproxy');
    copyFileSync(programs.gvproxy.file, program);
    const spec = makeSpec(folder.path, { internal });
    mkdirSync(spec.runDir, { mode: 0o700 });
    chownSync(spec.runDir, PLAIN, PLAIN);
    const drop = ['--reuid', String(PLAIN), '--regid', String(PLAIN), '--clear-groups', program, 'run', spec.name];
    const child = spawn('setpriv', drop, { stdio: ['pipe', 'ignore', 'ignore', 'pipe'] });
    try {
      child.stdin?.on('error', () => {});
      child.stdin?.end(JSON.stringify(buildGatewayConfig(spec, { resolvers: [], fallback: [] })));
      const status = await new Promise<string>((resolve) => child.stdio[3]?.once('data', (data) => resolve(String(data))));
      expect(JSON.parse(status)).toMatchObject({ ready: true, fence: { seccomp: true, nets: !internal } });
      const of = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      expect(of).toMatch(/NoNewPrivs:\s+1/);
      expect(of).toMatch(/Seccomp:\s+2/);
      expect(of).toMatch(/CapEff:\s+0{16}/);
      const control = await GatewayControl.open(join(spec.runDir, 'n.sock'));
      expect(await control.request('state')).toMatchObject({ ok: true });
      control.close();
    } finally {
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      folder.remove();
    }
  });
});
