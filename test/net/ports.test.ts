import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { findPortHolder } from '../../net/port-holder.ts';
import { checkPorts, findFreePort } from '../../net/ports.ts';
import { publishPort, publishTcp } from '../../net/publish.ts';
import type { PublishedPort } from '../../net/types.ts';
import { onlyWhere } from '../support/needs.ts';

const FIRST_FREE = '/proc/sys/net/ipv4/ip_unprivileged_port_start';
const mayBindAll = process.getuid?.() === 0 || Number(readFileSync(FIRST_FREE, 'utf8')) <= 80;

let opened: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  await Promise.all(opened.map((close) => close()));
  opened = [];
});

const listen = async (server: Server, host = '127.0.0.1'): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  opened.push(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as { port: number }).port;
};

/** Stands for a network whose every address is this host's loopback. */
const loopback = { dial: (_address: string, port: number) => dialLocal(port) };
const dialLocal = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.once('connect', () => resolve(socket)).once('error', reject);
  });

const published = (port: number, changes: Partial<PublishedPort> = {}): PublishedPort => ({
  protocol: 'tcp',
  hostAddress: '',
  hostPort: 0,
  address: '10.0.0.3',
  port,
  ...changes,
});

/** To the end of stream, which leaves the other direction open. */
const readAll = (socket: Socket): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.once('end', () => resolve(Buffer.concat(chunks))).once('error', reject);
    socket.resume();
  });

const publish = async (port: number, changes: Partial<PublishedPort> = {}, signal?: AbortSignal) => {
  const listener = await publishTcp({ ports: [published(port, changes)], network: loopback, ...(signal ? { signal } : {}) });
  opened.push(() => listener.close());
  return { listener, hostPort: listener.ports[0]?.hostPort ?? 0 };
};

describe('publishTcp', () => {
  it('keeps half-closed connections open in both directions and counts', async () => {
    const port = await listen(
      createServer({ allowHalfOpen: true }, (socket) => {
        // Answers only after the client's end of stream.
        readAll(socket).then((data) => socket.end(`got ${data.length}`));
      }),
    );
    const { listener, hostPort } = await publish(port);
    const client = await dialLocal(hostPort);
    client.end('12345');
    expect((await readAll(client)).toString()).toBe('got 5');
    await expect.poll(() => listener.counters()).toEqual({ connections: 1, open: 0, received: 5, sent: 5 });
    expect(listener.ports[0]).toMatchObject({ hostAddress: '127.0.0.1' });
  });

  it('carries much data whole and does not buffer for a reader that is slow', async () => {
    const size = 48 * 1024 * 1024;
    let written = 0;
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const port = await listen(
      createServer((socket) => {
        const more = (): void => {
          while (written < size && socket.write(chunk)) {
            written += chunk.length;
          }
          if (written >= size) {
            socket.end();
          } else {
            written += chunk.length;
            socket.once('drain', more);
          }
        };
        socket.on('error', () => {});
        more();
      }),
    );
    const { listener, hostPort } = await publish(port);
    const client = await dialLocal(hostPort);
    client.pause();
    let before = -1;
    // Nobody reads: what is under way stops growing long before the end.
    await expect
      .poll(
        () => {
          const now = listener.counters().sent;
          const still = now === before && now > 0;
          before = now;
          return still;
        },
        { interval: 100, timeout: 8000 },
      )
      .toBe(true);
    expect(written).toBeLessThan(size / 2);
    expect((await readAll(client)).length).toBe(written);
    expect(written).toBeGreaterThanOrEqual(size);
  });

  it('resets clients when the network cannot be dialled, and ends them when the guest refuses', async () => {
    const refused = await publishTcp({ ports: [published(1)], network: { dial: () => Promise.reject(new Error('gone')) } });
    opened.push(() => refused.close());
    const reset = dialLocal(refused.ports[0]?.hostPort ?? 0).then(readAll);
    await expect(reset).rejects.toMatchObject({ code: 'ECONNRESET' });
    const port = await listen(createServer((socket) => socket.destroy()));
    const { hostPort } = await publish(port);
    expect((await readAll(await dialLocal(hostPort))).length).toBe(0);
  });

  it('opens all ports or none, and closes on abort', async () => {
    const busy = await listen(createServer());
    const free = await findFreePort({ protocol: 'tcp', hostAddress: '', first: 0, last: 0 });
    const ports = [published(1, { hostPort: free }), published(1, { hostPort: busy })];
    await expect(publishTcp({ ports, network: loopback })).rejects.toMatchObject({ code: 'NET_PORT_IN_USE' });
    await checkPorts([published(1, { hostPort: free })]);
    const controller = new AbortController();
    const { hostPort } = await publish(1, { hostPort: free }, controller.signal);
    controller.abort();
    await expect
      .poll(() =>
        checkPorts([published(1, { hostPort })]).then(
          () => 'free',
          () => 'busy',
        ),
      )
      .toBe('free');
  });

  it('ends open connections when it closes', async () => {
    const port = await listen(createServer((socket) => socket.on('error', () => {})));
    const { listener, hostPort } = await publish(port);
    const client = await dialLocal(hostPort);
    client.on('error', () => {});
    const closed = new Promise((resolve) => client.once('close', resolve));
    await expect.poll(() => listener.counters().open).toBe(1);
    await listener.close();
    client.resume();
    client.end();
    await closed;
  });

  it('listens on IPv6 addresses', async () => {
    const port = await listen(createServer((socket) => socket.end('six')));
    const { hostPort } = await publish(port, { hostAddress: '[::1]' });
    const client = connect({ host: '::1', port: hostPort });
    expect((await readAll(client)).toString()).toBe('six');
  });
});

it('publishPort hands UDP to the network, with a port chosen here', async () => {
  const calls: unknown[] = [];
  const network = {
    ...loopback,
    exposeUdp: (...args: unknown[]) => Promise.resolve(void calls.push(['expose', ...args])),
    unexposeUdp: (...args: unknown[]) => Promise.resolve(void calls.push(['unexpose', ...args])),
  };
  const publication = await publishPort(network, published(53, { protocol: 'udp' }));
  const local = { address: '127.0.0.1', port: publication.port.hostPort };
  await publication.close();
  expect(local.port).toBeGreaterThan(1023);
  expect(calls).toEqual([
    ['expose', local, { address: '10.0.0.3', port: 53 }],
    ['unexpose', local],
  ]);
});

describe('checkPorts', () => {
  it('names the holder of a TCP port', async () => {
    const hostPort = await listen(createServer());
    const failure = checkPorts([{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort }]);
    await expect(failure).rejects.toMatchObject({
      code: 'NET_PORT_IN_USE',
      message: expect.stringContaining(`port 127.0.0.1:${hostPort}/tcp is already in use by node`),
    });
    await expect(failure).rejects.toMatchObject({ message: expect.stringContaining(`(pid ${process.pid})`) });
    expect(await findPortHolder(hostPort, 'udp')).toBeUndefined();
  });

  it('names the holder of a UDP port', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    opened.push(() => new Promise<void>((resolve) => socket.close(() => resolve())));
    const hostPort = socket.address().port;
    await expect(checkPorts([{ protocol: 'udp', hostAddress: '', hostPort }])).rejects.toMatchObject({
      code: 'NET_PORT_IN_USE',
      message: expect.stringContaining(`pid ${process.pid}`),
    });
    expect(await findPortHolder(hostPort, 'udp')).toMatchObject({ pid: process.pid, uid: process.getuid?.() });
  });

  it('reports every port that is taken, and ports published twice', async () => {
    const [first, second] = [await listen(createServer()), await listen(createServer())];
    const ports = [first, second].map((hostPort) => ({ protocol: 'tcp' as const, hostAddress: '', hostPort }));
    await expect(checkPorts(ports)).rejects.toMatchObject({ details: [expect.stringContaining(String(second))] });
    const twice = { protocol: 'tcp' as const, hostAddress: '127.0.0.1', hostPort: 45_001 };
    await expect(checkPorts([twice, { ...twice, hostAddress: '' }])).rejects.toMatchObject({
      message: expect.stringContaining('published twice'),
    });
  });

  it('says when the host has no such address', async () => {
    await expect(checkPorts([{ protocol: 'tcp', hostAddress: '192.0.2.77', hostPort: 0 }])).rejects.toMatchObject({ code: 'NET_ADDRESS' });
    await expect(checkPorts([{ protocol: 'udp', hostAddress: '192.0.2.77', hostPort: 0 }])).rejects.toMatchObject({ code: 'NET_ADDRESS' });
  });

  onlyWhere(mayBindAll && 'this user may bind every port').it('explains privileged ports', async () => {
    await expect(checkPorts([{ protocol: 'tcp', hostAddress: '', hostPort: 80 }])).rejects.toMatchObject({
      code: 'NET_PORT_DENIED',
      hint: expect.stringContaining('ip_unprivileged_port_start=80'),
    });
  });
});

it('findFreePort takes the first free one of a range', async () => {
  const busy = await listen(createServer());
  const range = { protocol: 'tcp' as const, hostAddress: '', first: busy, last: busy };
  await expect(findFreePort(range)).rejects.toMatchObject({ code: 'NET_PORT_IN_USE' });
  const found = await findFreePort({ ...range, last: busy + 50 });
  expect(found).toBeGreaterThan(busy);
  expect(await findFreePort({ ...range, last: busy + 50, except: new Set([found]) })).not.toBe(found);
});
