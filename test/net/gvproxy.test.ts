import { createSocket } from 'node:dgram';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { identifyProcess, isAlive } from '../../base/host/process.ts';
import { compileJail } from '../../net/compile-jail.ts';
import { adoptNetwork, startNetwork, sweepNetwork } from '../../net/gvproxy.ts';
import { GvproxyApi, parseExposes } from '../../net/gvproxy-api.ts';
import type { NetworkPrograms } from '../../net/gvproxy-config.ts';
import { landlockAbi } from '../../net/landlock.ts';
import { publishPort } from '../../net/publish.ts';
import type { Network, NetworkSpec } from '../../net/types.ts';
import { needs } from '../support/needs.ts';
import { type Frame, type Host, udp } from './frames.ts';
import { findGvproxy, makeFolder, makeSpec, NO_GVPROXY, Peer } from './helpers.ts';

const gvproxy = findGvproxy();
if (gvproxy === undefined) {
  console.warn('net: no gvproxy ≥ 0.8.8 found (HYPR_GVPROXY, ~/.hypr/toolchain, PATH): tests that run it are skipped');
}

const A: Host = { mac: '02:00:00:00:00:0a', ip: '10.89.7.3' };
const B: Host = { mac: '02:00:00:00:00:0b', ip: '10.89.7.4' };

needs(gvproxy === undefined && NO_GVPROXY).describe('a running network', () => {
  let tools: ReturnType<typeof makeFolder>;
  let programs: NetworkPrograms;
  let folder: ReturnType<typeof makeFolder>;
  let networks: Network[] = [];
  let peers: Peer[] = [];

  beforeAll(async () => {
    tools = makeFolder();
    programs = { gvproxy: gvproxy ?? { file: '', prefix: [] }, jail: await compileJail(tools.path) };
  });
  afterAll(() => tools.remove());
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
  const join2 = async (network: Network, host: Host): Promise<Peer> => {
    const peer = new Peer(await network.connectNic(), host);
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
    expect(line.trim().endsWith('shop_default')).toBe(true);
    expect(readFileSync(join(network.record.spec.runDir, 'jail'), 'utf8')).toMatch(/^landlock=\d+ files=[01]/);
    await network.stop();
    expect(identifyProcess(pid)).toBeUndefined();
    expect(existsSync(network.record.spec.runDir)).toBe(false);
    expect(await network.exited).toHaveProperty('detail');
  });

  it('refuses what a guest may order of the host, and keeps unix sockets inside the run folder working', async () => {
    const network = await start();
    const api = new GvproxyApi(network.record.socket);
    const expose = (body: object) => api.post('/services/forwarder/expose', body);
    const victim = join(folder.path, 'victim');
    writeFileSync(victim, 'precious');
    const remote = 'tcp://10.89.7.3:80';
    expect((await expose({ protocol: 'unix', local: victim, remote })).status).toBe(500);
    expect((await expose({ protocol: 'unix', local: join(folder.path, 'new'), remote })).status).toBe(500);
    expect((await expose({ protocol: 'unix', local: network.record.socket, remote })).status).toBe(500);
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(readdirSync(folder.path).sort()).toEqual(['network.log', 'run', 'victim']);
    expect((await api.get('/services/forwarder/all')).status).toBe(200);

    if ((await landlockAbi(programs.jail)) >= 4) {
      const tcpAnswer = await expose({ protocol: 'tcp', local: '127.0.0.1:28080', remote: '10.89.7.3:80' });
      expect(tcpAnswer).toMatchObject({ status: 500, body: expect.stringContaining('permission denied') });
      expect(await accepts(28080)).toBe(false);
    }
    const inside = join(network.record.spec.runDir, 'x.sock');
    expect((await expose({ protocol: 'unix', local: inside, remote })).status).toBe(200);
    expect(existsSync(inside)).toBe(true);
    api.close();
  });

  it('binds no UDP port either when none is to be published', async () => {
    const network = await start({ udpPorts: false });
    const api = new GvproxyApi(network.record.socket);
    const answer = await api.post('/services/forwarder/expose', { protocol: 'udp', local: '127.0.0.1:28081', remote: '10.89.7.3:80' });
    api.close();
    expect(answer).toMatchObject({ status: 500, body: expect.stringContaining('permission denied') });
    await expect(network.exposeUdp({ address: '127.0.0.1', port: 28081 }, { address: A.ip, port: 80 })).rejects.toMatchObject({
      code: 'HYPR_UNSUPPORTED',
    });
  });

  it('undoes UDP ports that a guest ordered, restores ours, and hands them to the next supervisor', async () => {
    const network = await start();
    const local = { address: '127.0.0.1', port: 28082 };
    await network.exposeUdp(local, { address: A.ip, port: 53 });
    const api = new GvproxyApi(network.record.socket);
    const list = async () => parseExposes(await api.get('/services/forwarder/all')).map((expose) => expose.local);
    await api.post('/services/forwarder/expose', { protocol: 'udp', local: '127.0.0.1:28083', remote: '10.89.7.3:80' });
    await api.post('/services/forwarder/unexpose', { protocol: 'udp', local: '127.0.0.1:28082' });
    expect(await list()).toEqual(['127.0.0.1:28083']);
    network.release();
    const adopted = await adoptNetwork(network.record, programs);
    expect(adopted).toBeDefined();
    await expect.poll(list, { timeout: 5000 }).toEqual(['127.0.0.1:28082']);
    await adopted?.unexposeUdp(local);
    expect(await list()).toEqual([]);
    adopted?.release();
    api.close();
  });

  it('stops a network whose list of ports a guest made unreadable', async () => {
    const network = await start();
    network.release();
    const api = new GvproxyApi(network.record.socket);
    const remote = `tcp://10.89.7.3:80/${'x'.repeat(9 * 1024 * 1024)}`;
    const answer = await api.post('/services/forwarder/expose', { protocol: 'unix', local: join(network.record.spec.runDir, '!'), remote });
    expect(answer.status).toBe(200);
    api.close();
    const adopted = await adoptNetwork(network.record, programs);
    expect(await adopted?.exited).toEqual({ detail: 'gvproxy ended' });
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
    await expect(publishPort(network, { ...publication.port, hostAddress: '127.0.0.1', address: B.ip })).resolves.toBeDefined();
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
    expect(await adopted?.exited).toEqual({ detail: 'gvproxy ended' });
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
    const report = readFileSync(join(network.record.spec.runDir, 'jail'), 'utf8');
    expect(report).toMatch(/seccomp=1|netns=1/);
    const server = createServer((socket) => socket.end('reached')).listen(0, '127.0.0.1');
    const [a, b] = [await join2(network, A), await join2(network, B)];
    await a.resolve('10.89.7.1');
    await b.resolve('10.89.7.1');
    a.send(udp({ from: A, to: B, source: 1, target: 2, data: Buffer.from('inside') }));
    await b.receive('the datagram', (seen) => seen.kind === 'udp');
    const api = new GvproxyApi(network.record.socket);
    const answer = await api.post('/services/forwarder/expose', { protocol: 'tcp', local: '127.0.0.1:28084', remote: '10.89.7.3:80' });
    expect(answer.status).toBe(500);
    api.close();
    server.close();
  });

  const loader = '/lib64/ld-linux-x86-64.so.2';
  it('starts through a private dynamic loader', async () => {
    const prefix = [loader, '--library-path', '/lib/x86_64-linux-gnu:/usr/lib64'];
    const viaLoader = { ...programs, gvproxy: { file: programs.gvproxy.file, prefix } };
    const network = await startNetwork(makeSpec(folder.path), viaLoader).catch((error: Error) => error);
    if (network instanceof Error) {
      // A static gvproxy cannot be started this way; anything else is a failure.
      expect(network.message).toMatch(/exit code 127|ended by|exit code 1\b/);
    } else {
      networks.push(network);
      expect((await network.stats()).sent).toBe(0);
    }
  });

  it('says why when gvproxy does not start, and leaves nothing', async () => {
    const broken = { ...programs, gvproxy: { file: '/bin/false', prefix: [] } };
    await expect(startNetwork(makeSpec(folder.path), broken)).rejects.toMatchObject({
      code: 'NET_START',
      message: expect.stringContaining('exit code 1'),
    });
    const missing = { ...programs, gvproxy: { file: '/nonexistent/gvproxy', prefix: [] } };
    await expect(startNetwork(makeSpec(folder.path), missing)).rejects.toMatchObject({
      code: 'NET_START',
      message: expect.stringContaining('cannot start /nonexistent/gvproxy'),
    });
    expect(existsSync(join(folder.path, 'run'))).toBe(false);
    const cancelled = AbortSignal.abort(new Error('no more'));
    await expect(startNetwork(makeSpec(folder.path), programs, cancelled)).rejects.toThrow('no more');
    expect(existsSync(join(folder.path, 'run'))).toBe(false);
  });
});

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

const readAll = async (socket: Socket): Promise<string> => {
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
  }
  return text;
};
