import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { orAbort } from '../../../base/abort.ts';
import { checkPorts, findFreePort } from '../../../net/ports/check-ports.ts';
import { findPortHolder } from '../../../net/ports/port-holder.ts';
import { publishPort, publishTcp } from '../../../net/ports/publish.ts';
import type { PublishedPort } from '../../../net/types.ts';
import { onlyWhere } from '../../support/needs.ts';

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

  it('holds a client until something listens inside, with what it has sent, and lets it go with the listener', async () => {
    const port = await listen(createServer((socket) => socket.on('data', (data) => socket.end(`got ${data}`))));
    let open = () => {};
    const ready = new Promise<void>((resolve) => {
      open = resolve;
    });
    const awaitPort = (_: number, signal: AbortSignal): Promise<void> => orAbort(ready, signal);
    const held = await publishTcp({ ports: [published(port)], network: loopback, awaitPort });
    opened.push(() => held.close());
    const client = await dialLocal(held.ports[0]?.hostPort ?? 0);
    client.write('early');
    const answer = readAll(client);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(client.bytesRead).toBe(0);
    open();
    expect((await answer).toString()).toBe('got early');

    const never = await publishTcp({
      ports: [published(port)],
      network: loopback,
      awaitPort: (_, signal) => orAbort(new Promise(() => {}), signal),
    });
    const lost = readAll(await dialLocal(never.ports[0]?.hostPort ?? 0));
    await never.close();
    await expect(lost.then((data) => data.length)).resolves.toBe(0);
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

describe('a published UDP port', () => {
  /** A gateway whose machine answers every datagram with what it was, in capitals; the frames it was given are kept. */
  const echo = async () => {
    const frames: Array<{ size: number; flow: number; text: string }> = [];
    const ends: Socket[] = [];
    const server = createServer((socket) => {
      ends.push(socket);
      let pending = Buffer.alloc(0);
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        pending = Buffer.concat([pending, chunk]);
        while (pending.length >= 6) {
          const size = pending.readUInt16BE(0);
          const body = size === 0xffff ? 0 : size;
          if (pending.length < 6 + body) {
            return;
          }
          const text = pending.subarray(6, 6 + body).toString();
          frames.push({ size, flow: pending.readUInt32BE(2), text });
          const answer = Buffer.from(text.toUpperCase());
          // In two pieces, so that frames are put together again.
          socket.write(pending.subarray(0, 3));
          setTimeout(() => socket.destroyed || socket.write(Buffer.concat([head.subarray(3), answer])), 5);
          const head = Buffer.from(pending.subarray(0, 6));
          pending = Buffer.from(pending.subarray(6 + body));
        }
      });
    });
    const port = await listen(server);
    opened.push(async () => {
      for (const end of ends) {
        end.destroy();
      }
    });
    return { frames, ends, network: { ...loopback, dialUdp: () => dialLocal(port) } };
  };
  const ask = async (text: string, port: number): Promise<string> => {
    const client = createSocket('udp4');
    opened.push(() => new Promise<void>((resolve) => client.close(() => resolve())));
    const answer = new Promise<string>((resolve) => client.once('message', (data) => resolve(data.toString())));
    client.send(text, port, '127.0.0.1');
    return answer;
  };

  it('gives each client a flow of its own, and its answers to it alone', async () => {
    const { frames, network } = await echo();
    const publication = await publishPort(network, published(53, { protocol: 'udp' }));
    expect(publication.port).toMatchObject({ hostAddress: '127.0.0.1', protocol: 'udp' });
    expect(await ask('one', publication.port.hostPort)).toBe('ONE');
    expect(await ask('two', publication.port.hostPort)).toBe('TWO');
    expect(frames.map(({ flow, text }) => ({ flow, text }))).toEqual([
      { flow: 0, text: 'one' },
      { flow: 1, text: 'two' },
    ]);
    expect(publication.counters()).toEqual({ connections: 2, open: 2, received: 6, sent: 6 });
    await publication.close();
    expect(await findPortHolder(publication.port.hostPort, 'udp')).toBeUndefined();
  });

  it('forgets a flow that the gateway forgot', async () => {
    const { ends, network } = await echo();
    const publication = await publishPort(network, published(53, { protocol: 'udp' }));
    await ask('x', publication.port.hostPort);
    ends[0]?.write(Buffer.from([0xff, 0xff, 0, 0, 0, 0]));
    await expect.poll(() => publication.counters().open).toBe(0);
    await publication.close();
  });

  it('forgets the oldest client when there are too many, and says so', async () => {
    const { frames, network } = await echo();
    const publication = await publishPort(network, published(53, { protocol: 'udp' }));
    const clients = Array.from({ length: 2049 }, () => createSocket('udp4'));
    for (const [index, client] of clients.entries()) {
      client.on('error', () => {});
      await new Promise<void>((resolve) => client.send('x', publication.port.hostPort, '127.0.0.1', () => resolve()));
      if (index % 64 === 0) {
        await expect.poll(() => frames.filter(({ text }) => text === 'x').length, { interval: 1 }).toBe(index + 1);
      }
    }
    await expect.poll(() => frames.find(({ size }) => size === 0xffff)?.flow).toBe(0);
    expect(publication.counters().open).toBe(2048);
    await publication.close();
    await Promise.all(clients.map((client) => new Promise<void>((resolve) => client.close(() => resolve()))));
  });

  it('is not held when the network refuses it', async () => {
    const network = { ...loopback, dialUdp: () => Promise.reject(new Error('refused')) };
    await expect(publishPort(network, published(53, { protocol: 'udp' }))).rejects.toThrow('refused');
  });
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
    const path = ['services', 'web', 'ports'];
    await expect(checkPorts(ports.map((port) => ({ ...port, path })))).rejects.toMatchObject({
      details: [expect.stringContaining(String(second))],
      path,
    });
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
