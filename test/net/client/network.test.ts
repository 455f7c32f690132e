import { createSocket } from 'node:dgram';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identifyProcess, isAlive } from '../../../base/host/process.ts';
import { adoptNetwork, startNetwork, sweepNetwork } from '../../../net/client/network.ts';
import { publishPort } from '../../../net/ports/publish.ts';
import type { Network, NetworkEvent, NetworkNic, NetworkSpec } from '../../../net/types.ts';
import { type Frame, type Host, udp } from './frames.ts';
import { makeFolder, makeGateway, makeSpec, nicOf, Peer } from './helpers.ts';

const programs = makeGateway();

const A: Host = { mac: '02:00:00:00:00:0a', ip: '10.89.7.3' };
const B: Host = { mac: '02:00:00:00:00:0b', ip: '10.89.7.4' };

describe('a running network', () => {
  let folder: ReturnType<typeof makeFolder>;
  let networks: Network[] = [];
  let peers: Peer[] = [];

  beforeEach(() => {
    folder = makeFolder();
  });
  afterEach(async () => {
    await Promise.all(peers.map((peer) => peer.close()));
    await Promise.all(networks.map((network) => network.stop()));
    peers = [];
    networks = [];
    folder.remove();
  });

  const start = async (changes: Partial<NetworkSpec> = {}): Promise<Network> => {
    const network = await startNetwork(makeSpec(folder.path, changes), programs);
    networks.push(network);
    return network;
  };
  const join2 = async (network: Network, host: Host, nic: Partial<NetworkNic> = {}): Promise<Peer> => {
    const peer = new Peer(await network.connectNic(nicOf(host, nic)), host);
    peers.push(peer);
    return peer;
  };

  it('answers ARP for the gateway only and carries frames between two peers', async () => {
    const network = await start();
    const [a, b] = [await join2(network, A), await join2(network, B)];
    const gateway = await a.resolve('10.89.7.1');
    await b.resolve('10.89.7.1');
    a.send(udp({ from: A, to: B, source: 4000, target: 4001, data: Buffer.from('hello b') }));
    const frame = await b.receive('the datagram', (seen): seen is Extract<Frame, { kind: 'udp' }> => seen.kind === 'udp');
    expect(frame).toMatchObject({ from: A.ip, to: B.ip, source: 4000, target: 4001 });
    expect(frame.data.toString()).toBe('hello b');
    expect(gateway).toBe('5a:94:ef:e4:0c:dd');
    expect(await network.stats()).toMatchObject({ received: expect.any(Number) });
    expect((await network.stats()).received).toBeGreaterThan(40);
  });

  it('shows the network in the process list, keeps its pid, and leaves nothing after stop', async () => {
    const network = await start();
    const { pid } = network.record.process;
    const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
    expect(line).toContain('gvproxy');
    expect(line.trim().endsWith(`run shop_default ${network.record.spec.runDir}`)).toBe(true);
    expect((await network.state()).fence).toMatchObject({ seccomp: true, nets: true });
    expect(readdirSync(network.record.spec.runDir).sort()).toEqual(['n.sock', 'pending']);
    await network.stop();
    expect(identifyProcess(pid)).toBeUndefined();
    expect(existsSync(network.record.spec.runDir)).toBe(false);
    expect(await network.exited).toHaveProperty('detail');
  });

  it('refuses what is no request of its protocol', async () => {
    const network = await start();
    await expect(network.connectNic(nicOf({ ...A, mac: 'x' }))).rejects.toMatchObject({ code: 'NET_ADDRESS' });
    await expect(network.connectNic(nicOf({ ...A, mac: 'ff:ff:ff:ff:ff:ff' }))).rejects.toMatchObject({ code: 'NET_ADDRESS' });
    for (const ip of ['10.89.7.1', '10.89.8.3', '127.0.0.1', 'fe80::1']) {
      await expect(network.connectNic(nicOf({ ...A, ip }))).rejects.toMatchObject({ code: 'NET_ADDRESS' });
    }
    for (const address of ['127.0.0.1', '10.89.8.3', '8.8.8.8', '::1']) {
      await expect(network.dial(address, 80)).rejects.toMatchObject({ code: 'NET_ADDRESS' });
      await expect(network.dialUdp(address, 80)).rejects.toMatchObject({ code: 'NET_ADDRESS' });
    }
    await expect(network.setPolicy(A.mac, {})).rejects.toMatchObject({ message: expect.stringContaining('no machine') });
    const peer = await join2(network, A);
    await peer.resolve('10.89.7.1');
    const wrong = { default: 'deny', rules: [{ action: 'allow', to: ['x/33'] }] } as const;
    await expect(network.setPolicy(A.mac, { egress: wrong })).rejects.toMatchObject({ message: expect.stringContaining('x/33') });
    expect((await network.state()).machines).toHaveLength(1);
  });

  it('hands machines, their rules and their counters to the next supervisor', async () => {
    const network = await start();
    const egress = {
      default: 'deny',
      rules: [{ action: 'allow', to: ['*.example.com', '192.0.2.0/24'], protocol: 'tcp', ports: ['443'] }],
    } as const;
    const peer = await join2(network, A, { name: 'shop-web-1', egress });
    await peer.resolve('10.89.7.1');
    network.release();
    const adopted = await adoptNetwork(network.record, programs);
    const [machine] = (await adopted?.state())?.machines ?? [];
    expect(machine).toMatchObject({ name: 'shop-web-1', mac: A.mac, addresses: [A.ip], egress });
    expect(machine?.received).toBeGreaterThan(40);
    const b = new Peer((await adopted?.connectNic(nicOf(B))) as Socket, B);
    peers.push(b);
    await b.resolve('10.89.7.1');
    peer.send(udp({ from: A, to: B, source: 1, target: 2, data: Buffer.from('still here') }));
    await b.receive('the datagram', (seen) => seen.kind === 'udp');
    adopted?.release();
  });

  it('puts a machine that comes again in the place of what it was', async () => {
    const network = await start();
    const [first, b] = [await join2(network, A), await join2(network, B)];
    await first.resolve('10.89.7.1');
    const second = await join2(network, A);
    await second.resolve('10.89.7.1');
    await b.resolve('10.89.7.1');
    b.send(udp({ from: B, to: A, source: 1, target: 2, data: Buffer.from('x') }));
    await second.receive('the datagram', (seen) => seen.kind === 'udp');
    expect((await network.state()).machines.map(({ mac }) => mac).sort()).toEqual([A.mac, B.mac]);
  });

  it('lets others carry on while one machine reads nothing', async () => {
    const network = await start();
    const c: Host = { mac: '02:00:00:00:00:0c', ip: '10.89.7.5' };
    const [a, b] = [await join2(network, A), await join2(network, B)];
    const stuck = await network.connectNic(nicOf(c));
    await a.resolve('10.89.7.1');
    await b.resolve('10.89.7.1');
    const data = Buffer.alloc(60_000);
    for (let sent = 0; sent < 400; sent += 1) {
      a.send(udp({ from: A, to: c, source: 1, target: 2, data }));
    }
    a.send(udp({ from: A, to: B, source: 1, target: 2, data: Buffer.from('after') }));
    await b.receive('what was sent after it', (seen) => seen.kind === 'udp');
    const began = Date.now();
    b.send(udp({ from: B, to: A, source: 3, target: 4, data: Buffer.from('back') }));
    await a.receive('an answer', (seen) => seen.kind === 'udp');
    expect(Date.now() - began).toBeLessThan(1000);
    const machine = (await network.state()).machines.find(({ mac }) => mac === c.mac);
    expect(machine?.dropped).toBeGreaterThan(0);
    stuck.destroy();
  });

  it('tells events in lines with a count, and keeps a capture', async () => {
    const network = await start();
    const events: NetworkEvent[] = [];
    network.onEvent((event) => events.push(event));
    const pcap = await network.capture({ snap: 64 });
    const bytes: Buffer[] = [];
    pcap.on('data', (chunk) => bytes.push(chunk));
    const peer = await join2(network, A, { name: 'shop-web-1' });
    await peer.resolve('10.89.7.1');
    for (let sent = 0; sent < 50; sent += 1) {
      peer.send(udp({ from: { ...A, ip: '10.89.7.77' }, to: B, source: 1, target: 2, data: Buffer.from('as another') }));
    }
    await expect.poll(() => events.filter(({ event }) => event === 'refused'), { timeout: 4000 }).not.toHaveLength(0);
    const refused = events.filter(({ event }) => event === 'refused');
    expect(refused[0]).toMatchObject({ machine: 'shop-web-1', mac: A.mac, why: 'spoofed address' });
    expect(refused.length).toBeLessThan(4);
    const capture = Buffer.concat(bytes);
    expect(capture.readUInt32LE(0)).toBe(0xa1b2c3d4);
    expect(capture.readUInt32LE(20)).toBe(1);
    expect(capture.readUInt32LE(24 + 8)).toBeLessThanOrEqual(64);
    pcap.destroy();
  });

  it('carries UDP from a published port to a peer and back', async () => {
    const network = await start();
    const peer = await join2(network, A);
    const gateway = await peer.resolve('10.89.7.1');
    const publication = await publishPort(network, { protocol: 'udp', hostAddress: '', hostPort: 0, address: A.ip, port: 53 });
    const client = createSocket('udp4');
    const reply = new Promise<string>((resolve) => client.once('message', (data) => resolve(data.toString())));
    client.send('question', publication.port.hostPort, '127.0.0.1');
    const question = await peer.receive('the datagram', (seen): seen is Extract<Frame, { kind: 'udp' }> => seen.kind === 'udp');
    expect(question.data.toString()).toBe('question');
    const to = { mac: gateway, ip: question.from };
    peer.send(udp({ from: A, to, source: 53, target: question.source, data: Buffer.from('answer') }));
    expect(await reply).toBe('answer');
    await expect(publishPort(network, { ...publication.port, address: B.ip })).rejects.toMatchObject({ code: 'NET_PORT_IN_USE' });
    await publication.close();
    client.close();
  });

  it('names who holds a UDP port', async () => {
    const network = await start();
    const holder = createSocket('udp4');
    await new Promise<void>((resolve) => holder.bind(0, '127.0.0.1', resolve));
    const taken = publishPort(network, { protocol: 'udp', hostAddress: '', hostPort: holder.address().port, address: A.ip, port: 53 });
    await expect(taken).rejects.toMatchObject({ code: 'NET_PORT_IN_USE', message: expect.stringContaining(`pid ${process.pid}`) });
    holder.close();
  });

  it('tunnels to a peer and back, and ends a tunnel to a closed port at once', async () => {
    const network = await start();
    const peer = await join2(network, A);
    await peer.resolve('10.89.7.1');
    const served = peer.serveOnce(8080, () => Buffer.from('pong'));
    const socket = await network.dial(A.ip, 8080);
    socket.write('ping');
    expect(await readAll(socket)).toBe('pong');
    expect((await served).toString()).toBe('ping');
    socket.destroy();
    const refused = await network.dial(A.ip, 81);
    await peer.refuse(81);
    expect(await readAll(refused)).toBe('');
    await expect(network.dial('nonsense', 80)).rejects.toMatchObject({ code: 'NET_ADDRESS' });
  });

  it('notices kill -9, as the parent and as an adopter', async () => {
    const first = await start();
    process.kill(first.record.process.pid, 'SIGKILL');
    expect((await first.exited).detail).toContain('SIGKILL');
    await sweepNetwork(first.record);
    expect(await adoptNetwork(first.record, programs)).toBeUndefined();

    const second = await start({ runDir: join(folder.path, 'again') });
    second.release();
    const adopted = await adoptNetwork(second.record, programs);
    process.kill(second.record.process.pid, 'SIGKILL');
    expect(await adopted?.exited).toEqual({ detail: 'the gateway ended' });
    await sweepNetwork(second.record);
    await sweepNetwork(second.record);
    expect(existsSync(second.record.spec.runDir)).toBe(false);
  });

  it('stops an adopted network', async () => {
    const network = await start();
    network.release();
    const adopted = await adoptNetwork(network.record, programs);
    await adopted?.stop();
    expect(isAlive(network.record.process)).toBe(false);
  });

  it('gives an internal network no socket but unix ones', async () => {
    const network = await start({ internal: true });
    const [a, b] = [await join2(network, A), await join2(network, B)];
    await a.resolve('10.89.7.1');
    await b.resolve('10.89.7.1');
    a.send(udp({ from: A, to: B, source: 1, target: 2, data: Buffer.from('inside') }));
    await b.receive('the datagram', (seen) => seen.kind === 'udp');
    expect((await network.state()).fence).toMatchObject({ nets: false });
  });

  it('says why when gvproxy does not start, and leaves nothing', async () => {
    const broken = { gvproxy: { file: '/bin/false' } };
    await expect(startNetwork(makeSpec(folder.path), broken)).rejects.toMatchObject({
      code: 'NET_START',
      message: expect.stringContaining('exit code 1'),
    });
    const missing = { gvproxy: { file: '/nonexistent/gvproxy' } };
    await expect(startNetwork(makeSpec(folder.path), missing)).rejects.toMatchObject({
      code: 'NET_START',
      message: expect.stringContaining('/nonexistent/gvproxy'),
    });
    expect(existsSync(join(folder.path, 'run'))).toBe(false);
    const cancelled = AbortSignal.abort(new Error('no more'));
    await expect(startNetwork(makeSpec(folder.path), programs, cancelled)).rejects.toThrow('no more');
    expect(existsSync(join(folder.path, 'run'))).toBe(false);
  });
});

const readAll = async (socket: Socket): Promise<string> => {
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
  }
  return text;
};
