import { once } from 'node:events';
import { chmod, mkdtemp, readdir, stat } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LoopbackServer, listenOnLoopback } from '../../../../engine/docker/rest/listen.ts';
import { machineConfig } from '../../../../engine/docker/rest/machines.ts';
import { mergeFamilies } from '../../../../engine/docker/rest/metrics.ts';
import { OPERATIONS } from '../../../../engine/docker/rest/openapi.ts';
import { restRoutes } from '../../../../engine/docker/rest/routes.ts';
import { serveRest } from '../../../../engine/docker/rest/serve-rest.ts';
import { readToken } from '../../../../engine/docker/rest/token.ts';
import type { ReplicaDetail } from '../../../../engine/model/types.ts';
import { FakeHost } from '../fake-host.ts';

const TOKEN = 'a'.repeat(64);
const web = createServer((asked, answer) => {
  let body = '';
  asked.on('data', (piece) => {
    body += piece;
  });
  asked.on('end', () => answer.writeHead(201, { 'x-own': 'yes' }).end(JSON.stringify({ url: asked.url, headers: asked.headers, body })));
});
/** What its service says to any request, before it closes the connection. */
let hostileAnswer = '';
const hostile = createTcpServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', () => socket.end(hostileAnswer));
});
let server: LoopbackServer;

const machine = (name: string, hostPort?: number): ReplicaDetail => {
  const ports = hostPort === undefined ? [] : [{ hostAddress: '127.0.0.1', hostPort, port: 80, protocol: 'tcp' }];
  const status = {
    id: 'b'.repeat(64),
    name,
    service: 'web',
    image: 'nginx',
    state: 'running',
    health: 'none',
    exitCode: 0,
    createdAt: 1,
    addresses: [],
    ports,
    labels: {},
  };
  return { stack: 'shop', standalone: true, status } as unknown as ReplicaDetail;
};

beforeAll(async () => {
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve));
  const fake = new FakeHost({
    replicas: [
      machine('web', (web.address() as AddressInfo).port),
      machine('bare'),
      machine('hostile', (hostile.address() as AddressInfo).port),
    ],
  });
  server = await serveRest(fake.host, { port: 0, token: TOKEN });
});
afterAll(async () => {
  await server.close();
  web.close();
  hostile.close();
});

interface Asked {
  readonly headers?: Record<string, string>;
  readonly method?: string;
  readonly body?: string;
}

const ask = (
  path: string,
  { headers = {}, method = 'GET', body = '' }: Asked = {},
): Promise<{ status: number; text: string; headers: unknown }> =>
  new Promise((resolve, reject) => {
    const all = { authorization: `Bearer ${TOKEN}`, ...headers };
    const asked = request({ host: '127.0.0.1', port: server.port, path, method, headers: all, agent: false }, (answer) => {
      let text = '';
      answer.once('error', reject);
      answer.setEncoding('utf8').on('data', (piece) => {
        text += piece;
      });
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text, headers: answer.headers }));
    });
    asked.once('error', reject).end(body);
  });

describe('the JSON API', () => {
  test('lists machines below /api/v1 and without it, and says what is not there', async () => {
    for (const path of ['/machines', '/api/v1/machines']) {
      const { status, text } = await ask(path);
      expect(status).toBe(200);
      expect(JSON.parse(text)).toMatchObject([
        { name: 'web', stack: 'shop', status: 'running', ports: [{ port: 80 }] },
        { name: 'bare' },
        { name: 'hostile' },
      ]);
    }
    expect((await ask('/nothing')).status).toBe(404);
    expect((await ask('/machines', { method: 'PUT' })).status).toBe(405);
  });

  test.each([
    ['without a token', { authorization: '' }, 401],
    ['with a wrong token', { authorization: `Bearer ${'b'.repeat(64)}` }, 401],
    ['with another scheme', { authorization: `Basic ${TOKEN}` }, 401],
    ['by a name that was made to point here', { host: 'rebound.example:41001' }, 403],
    ['by an address that is not its own', { host: '10.0.0.1' }, 403],
    ['of a web page', { origin: 'https://page.example' }, 403],
    ['of a page on this host', { origin: 'http://localhost:3000' }, 403],
    ['of a page, as its browser says', { 'sec-fetch-site': 'cross-site' }, 403],
  ])('refuses a request %s, also to what is proxied', async (_, headers, status) => {
    for (const path of ['/machines', '/api/v1/vms/web/proxy/']) {
      const answer = await ask(path, { headers });
      expect(answer.status).toBe(status);
      expect(answer.text).not.toContain('shop');
    }
  });

  test.each([
    ['without a token', { authorization: '' }, 401],
    ['by a name that was made to point here', { host: 'rebound.example:41001' }, 403],
    ['of a web page', { origin: 'https://page.example' }, 403],
  ])('refuses each request that it has %s', async (_, headers, status) => {
    const answered = await Promise.all(
      OPERATIONS.map(async ({ route }) => {
        const [method = '', path = ''] = route.split(' ');
        const answer = await ask(path.replace(/\{[^}]*\}/g, 'web'), { method, headers });
        return `${route} ${answer.status}`;
      }),
    );
    expect(OPERATIONS.map(({ route }) => route)).toEqual(expect.arrayContaining(['POST /stacks', 'POST /images/build', 'PATCH /settings']));
    expect(answered).toEqual(OPERATIONS.map(({ route }) => `${route} ${status}`));
  });

  test.each(['POST /stacks', 'PATCH /settings', 'POST /machines'])('%s takes no more than 4 MiB', async (route) => {
    const [method = '', path = ''] = route.split(' ');
    const body = JSON.stringify({ compose: 'x'.repeat(5 << 20) });
    expect((await ask(path, { method, body, headers: { 'content-type': 'application/json' } })).status).toBe(413);
    expect((await ask('/machines')).status).toBe(200);
  });

  test('shows without a token which requests there are, and still not to a rebound name', async () => {
    const open = await ask('/openapi.json', { headers: { authorization: '' } });
    const paths = JSON.parse(open.text).paths as Record<string, object>;
    expect(Object.keys(paths)).toContain('/machines/{id}/exec');
    expect((await ask('/docs', { headers: { authorization: '' } })).text).toContain('/api/v1/machines/{id}/exec');
    expect((await ask('/docs', { headers: { host: 'rebound.example' } })).status).toBe(403);
  });

  test('has a handler for each request that it describes', () => {
    const routes = restRoutes(new FakeHost({}).host);
    expect(OPERATIONS.filter(({ route }) => routes[route] === undefined)).toEqual([]);
  });

  test('hands /vms/NAME/proxy/… to the port that a machine published, without the token', async () => {
    const { status, text, headers } = await ask('/api/v1/vms/web/proxy/deep/path?a=1', { method: 'POST', body: 'sent' });
    expect(status).toBe(201);
    expect(headers).toMatchObject({ 'x-own': 'yes' });
    const seen = JSON.parse(text);
    expect(seen).toMatchObject({ url: '/deep/path?a=1', body: 'sent' });
    expect(seen.headers.authorization).toBeUndefined();
    expect((await ask('/vms/web/proxy:81/')).status).toBe(409);
    expect((await ask('/vms/bare/proxy/')).status).toBe(409);
  });

  test.each([
    ['a status that is none', 'HTTP/1.1 099 No\r\n\r\n', 502],
    ['no status', 'HTTP/1.1 000 No\r\n\r\n', 502],
    ['a protocol that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: own\r\nConnection: upgrade\r\n\r\n', 502],
    ['nothing', '', 502],
    ['less than it promised', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort', 'cut'],
  ])('outlives a machine that answers with %s, and leaves no client waiting', async (_, said, outcome) => {
    hostileAnswer = said;
    const answer = await ask('/vms/hostile/proxy/').catch(() => ({ status: 'cut' }));
    expect(answer.status).toBe(outcome);
    expect((await ask('/machines')).status).toBe(200);
  });

  test('listens at 127.0.0.1 alone', async () => {
    const others = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    for (const { address } of others.filter(({ family, internal }) => family === 'IPv4' && !internal)) {
      const code = await new Promise((resolve) => {
        const tried = connect(server.port, address, () => resolve('connected'));
        tried.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      });
      expect(code).not.toBe('connected');
    }
  });
});

test.each([
  ['the head of a request', 'POST /stacks HTTP/1.1\r\nHost: 127.0.0.1\r\n'],
  ['its body', `POST /stacks HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: 100\r\n\r\n{`],
])('who sends %s byte by byte is cut off', async (_, start) => {
  const slow = await listenOnLoopback({ port: 0, token: TOKEN, open: [], requestMs: 300 }, (request) => void request.resume());
  const client = connect(slow.port, '127.0.0.1').on('error', () => {});
  client.write(start);
  const drip = setInterval(() => client.write('x'), 50);
  let answer = '';
  client.on('data', (data) => {
    answer += data;
  });
  await once(client, 'close');
  clearInterval(drip);
  expect(answer).toMatch(/^(HTTP\/1\.1 408 |$)/);
  await slow.close();
});

test('a WebSocket that is refused does not hold its connection', async () => {
  const client = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
  client.write('GET /machines/web/exec HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  let answer = '';
  client.on('data', (data) => {
    answer += data;
  });
  await once(client, 'end');
  expect(answer).toMatch(/^HTTP\/1\.1 401 /);
  // Only a server that has closed its whole side answers with a reset.
  await expect
    .poll(() => {
      client.write('x');
      return client.destroyed;
    })
    .toBe(true);
});

test('a machine of the JSON API is what docker’s clients ask for', () => {
  const request = {
    image: 'nginx',
    command: 'echo a',
    env: { A: 'b' },
    vcpu_count: 2,
    mem_size_mib: 64,
    ports: ['127.0.0.1:8080:80', '53/udp'],
  };
  const config = machineConfig({ ...request, volumes: ['data:/data'], labels: { app: 'web' } });
  expect(config).toMatchObject({ Image: 'nginx', Cmd: ['/bin/sh', '-c', 'echo a'], Env: ['A=b'], Labels: { app: 'web' } });
  expect(config.HostConfig).toMatchObject({
    ...{ NanoCpus: 2e9, Memory: 64 << 20, Binds: ['data:/data'] },
    PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }], '53/udp': [{ HostIp: '', HostPort: '' }] },
  });
  expect(() => machineConfig({ image: 'nginx', ports: ['web'] })).toThrow('"web" is no port');
});

test('the token is made once, for its user alone, and a file that others can read is refused', async () => {
  const path = join(await mkdtemp(join(tmpdir(), 'hypr-token-')), 'token');
  const [token, ...others] = await Promise.all(Array.from({ length: 8 }, () => readToken(path)));
  expect(new Set([token, ...others]).size).toBe(1);
  expect(await readdir(dirname(path))).toEqual(['token']);
  expect(token).toMatch(/^[0-9a-f]{64}$/);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readToken(path)).toBe(token);
  await chmod(path, 0o644);
  await expect(readToken(path)).rejects.toMatchObject({ code: 'HYPR_PERMISSION' });
});

test('families of several stacks stand once, with the samples of all', () => {
  const family = (stack: string) => `# HELP hypr_x Things.\n# TYPE hypr_x gauge\nhypr_x{stack="${stack}"} 1\n`;
  expect(mergeFamilies([family('a'), `${family('b')}# HELP hypr_y Others.\n# TYPE hypr_y counter\nhypr_y 2\n`])).toBe(
    '# HELP hypr_x Things.\n# TYPE hypr_x gauge\nhypr_x{stack="a"} 1\nhypr_x{stack="b"} 1\n# HELP hypr_y Others.\n# TYPE hypr_y counter\nhypr_y 2\n',
  );
});
