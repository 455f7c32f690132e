import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Refused } from '../../../net/outbound/open-destination.ts';
import { type OutboundProxy, type OutboundProxyOptions, openOutboundProxy } from '../../../net/outbound/outbound-proxy.ts';
import type { NetworkPolicy } from '../../../net/types.ts';
import { outside } from '../../support/outside.ts';

const echo = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket));
const web = createHttpServer((request, response) =>
  response.end(`${request.method} ${request.url} ${request.headers['proxy-authorization']}`),
);
let echoPort: number;
let webPort: number;

beforeAll(async () => {
  expect(outside, 'the host has no address but loopback: nothing is outside').not.toBe('');
  for (const server of [echo, web]) {
    server.listen(0, outside);
    await once(server, 'listening');
  }
  [echoPort, webPort] = [echo, web].map((server) => (server.address() as AddressInfo).port) as [number, number];
});
afterAll(() => {
  echo.close();
  web.close();
});

const proxies: OutboundProxy[] = [];
afterEach(() => {
  for (const proxy of proxies.splice(0)) {
    proxy.close();
  }
});

const allow = (...rules: Array<Omit<NetworkPolicy['rules'][number], 'action'>>): NetworkPolicy => ({
  default: 'deny',
  rules: rules.map((rule) => ({ ...rule, action: 'allow' })),
});

const open = (policy: NetworkPolicy, more: Partial<OutboundProxyOptions> = {}) => {
  const refused: Refused[] = [];
  const resolved: string[] = [];
  const resolve = async (name: string) => {
    resolved.push(name);
    return name === 'inner.example' ? ['10.0.0.1'] : [outside];
  };
  const proxy = openOutboundProxy({ policy, onRefused: (one) => refused.push(one), resolve, ...more });
  proxies.push(proxy);
  const dial = (): Duplex => {
    const [near, far] = duplexPair();
    // A pair ends each other's streams only, where a connection is gone as a whole.
    near.once('close', () => far.destroy());
    proxy.accept(far);
    return near;
  };
  /** The answer to one request on a connection of its own. */
  const ask = (head: string): Promise<string> => {
    const connection = dial();
    connection.write(`${head}\r\nconnection: close\r\n\r\n`);
    return text(connection);
  };
  return { refused, resolved, dial, ask };
};

const status = (answer: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);

test.each([
  ['an upgrade that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
  ['nothing', ''],
])('the outbound proxy › answers a request with 502 when it gets %s', async (_what, reply) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => (reply === '' ? socket.destroy() : socket.write(reply)));
  });
  server.listen(0, outside);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { ask } = open(allow({ to: [outside] }));
  expect(status(await ask(`GET http://${outside}:${(server.address() as AddressInfo).port}/ HTTP/1.1\r\nhost: x`))).toBe(502);
});

describe('the proxy of a machine without a NIC', () => {
  test('opens a tunnel to what is listed by name and by range together', async () => {
    const { dial, refused, resolved } = open(allow({ to: ['echo.example'] }, { to: [`${outside}/32`] }));
    const connection = dial();
    connection.write(`CONNECT Echo.Example.:${echoPort} HTTP/1.1\r\nhost: x\r\n\r\nearly `);
    connection.end('late');
    expect(await text(connection)).toBe('HTTP/1.1 200 Connection established\r\n\r\nearly late');
    expect([refused, resolved]).toEqual([[], ['echo.example']]);
  });

  test('forwards plain requests without what belongs to the proxy', async () => {
    const { ask } = open(allow({ to: [outside], ports: [String(webPort)] }));
    const answer = await ask(`GET http://${outside}:${webPort}/path?q HTTP/1.1\r\nhost: wrong\r\nproxy-authorization: secret`);
    expect(status(answer)).toBe(200);
    expect(answer).toContain('GET /path?q undefined');
  });

  test.each<[string, NetworkPolicy, () => string, number, () => Refused[]]>([
    [
      'a name that is not listed is not even asked for',
      allow({ to: ['a.example'] }),
      () => 'CONNECT b.example:443 HTTP/1.1\r\nhost: x',
      403,
      () => [{ rule: 'egress', name: 'b.example:443' }],
    ],
    [
      'a listed name with a private address',
      allow({ to: ['inner.example'] }),
      () => `CONNECT inner.example:80 HTTP/1.1\r\nhost: x`,
      403,
      () => [{ rule: 'egress', name: 'inner.example', to: '10.0.0.1:80' }],
    ],
    [
      'another port',
      allow({ to: [outside], ports: ['1'] }),
      () => `CONNECT ${outside}:${echoPort} HTTP/1.1\r\nhost: x`,
      403,
      () => [{ rule: 'egress', to: `${outside}:${echoPort}` }],
    ],
    [
      'loopback, though everything is allowed',
      { default: 'allow', rules: [] },
      () => `CONNECT 127.0.0.1:${echoPort} HTTP/1.1\r\nhost: x`,
      403,
      () => [{ rule: 'egress', to: `127.0.0.1:${echoPort}` }],
    ],
    [
      'loopback, though it is listed',
      allow({ to: ['127.0.0.0/8', '::/0'] }),
      () => 'CONNECT [::1]:80 HTTP/1.1\r\nhost: x',
      403,
      () => [{ rule: 'egress', to: '[::1]:80' }],
    ],
    [
      'a private address, though everything is allowed',
      { default: 'allow', rules: [] },
      () => `GET http://10.0.0.1/ HTTP/1.1\r\nhost: x`,
      403,
      () => [{ rule: 'egress', to: '10.0.0.1:80' }],
    ],
    ['what is no host', allow({}), () => 'CONNECT a b:443 HTTP/1.1\r\nhost: x', Number.NaN, () => []],
    ['what is no port', allow({}), () => 'CONNECT a.example:0 HTTP/1.1\r\nhost: x', 400, () => []],
    ['a request that is not for a proxy', allow({}), () => 'GET / HTTP/1.1\r\nhost: x', 400, () => []],
  ])('refuses %s', async (_, policy, head, code, events) => {
    const { ask, refused, resolved } = open(policy);
    const answer = await ask(head()).catch(() => '');
    expect(status(answer)).toBe(code);
    expect(refused).toEqual(events());
    expect(resolved).toEqual(head().includes('inner.example') ? ['inner.example'] : []);
  });

  test('refuses what is too much in too short a time', async () => {
    const { ask, refused } = open(allow({ to: [outside] }), { rate: { perSecond: 0.001, burst: 2 } });
    const head = `GET http://${outside}:${webPort}/ HTTP/1.1\r\nhost: x`;
    expect([status(await ask(head)), status(await ask(head)), status(await ask(head))]).toEqual([200, 200, 429]);
    expect(refused).toEqual([{ rule: 'rate', to: `${outside}:${webPort}` }]);
  });

  test('a name that matches reaches no other port of a private range that is listed with one', async () => {
    const { ask, refused } = open(allow({ to: ['*.example'] }, { to: ['10.0.0.0/8'], ports: ['5432'] }));
    expect(status(await ask('CONNECT inner.example:22 HTTP/1.1\r\nhost: x'))).toBe(403);
    expect(refused).toEqual([{ rule: 'egress', name: 'inner.example', to: '10.0.0.1:22' }]);
  });

  test('counts what it opens, not whom it opens it for: requests in one connection, and questions whose asker is gone', async () => {
    const questions: Array<() => void> = [];
    const resolve = () => new Promise<string[]>((answer) => questions.push(() => answer([])));
    const { dial, refused } = open(allow({}), { resolve, rate: { perSecond: 1000, burst: 1000 } });
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const pipelined = dial();
    pipelined.write('GET http://a.example/ HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(100));
    const gone = Array.from({ length: 200 }, dial);
    for (const connection of gone) {
      connection.write('CONNECT b.example:443 HTTP/1.1\r\nhost: x\r\n\r\n');
    }
    await expect.poll(() => refused.length).toBeGreaterThan(0);
    expect(refused.every(({ rule }) => rule === 'rate')).toBe(true);
    // Of these only as many are asked at a time as the system's resolver takes.
    expect(questions).toHaveLength(4);
    for (const connection of gone) {
      connection.destroy();
    }
    // Those who left make room at once, and what they wanted to know is not asked any more.
    const late = dial();
    await expect
      .poll(() => {
        late.write('GET http://c.example/ HTTP/1.1\r\nhost: x\r\n\r\n');
        return refused.length;
      })
      .toBeGreaterThan(0);
    pipelined.destroy();
    // A connection is watched once, however many requests wait on it.
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([]);
    late.destroy();
    await Promise.all([once(pipelined, 'close'), once(late, 'close')]);
    for (let answered = 0; answered < questions.length; answered += 1) {
      questions[answered]?.();
      await new Promise((done) => setImmediate(done));
    }
    expect(questions.length).toBeLessThan(20);
  });

  test('an answer that comes before the request has ended is passed on', async () => {
    const early = createHttpServer((_, response) => response.writeHead(413, { connection: 'close' }).end('too large'));
    early.listen(0, outside);
    await once(early, 'listening');
    const { port } = early.address() as AddressInfo;
    const connection = open(allow({ to: [outside] })).dial();
    connection.write(`PUT http://${outside}:${port}/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\nbegin`);
    const answer = await text(connection);
    early.close();
    expect([status(answer), answer.includes('too large')]).toEqual([413, true]);
  });

  test('says that nobody answers, and that a name is not known', async () => {
    const unknown = open(allow({}), { resolve: () => Promise.reject(new Error('no such name')) });
    expect(await unknown.ask('CONNECT a.example:443 HTTP/1.1\r\nhost: x')).toMatch(
      /^HTTP\/1\.1 502 [\s\S]*a\.example cannot be resolved: no such name/,
    );
    expect(unknown.refused).toEqual([]);
    const closed = createServer().listen(0, outside);
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    expect(status(await open(allow({ to: [outside] })).ask(`CONNECT ${outside}:${port} HTTP/1.1\r\nhost: x`))).toBe(502);
  });

  test('has at most 256 connections, and ends them with itself', async () => {
    const { dial } = open(allow({ to: [outside] }));
    const connections = Array.from({ length: 256 }, dial);
    const more = dial();
    await text(more);
    const over = (connection: (typeof connections)[number]) => connection.destroyed || connection.readableEnded;
    expect(connections.filter(over)).toEqual([]);
    proxies.at(-1)?.close();
    await Promise.all(connections.map((connection) => text(connection).catch(() => {})));
    expect(connections.filter((connection) => !over(connection))).toEqual([]);
  });
});
