import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { certificateNames } from '../../../net/edge/certificates.ts';
import { findRefusal, mayBeRefusal } from '../../../net/edge/http/refusals.ts';
import type { EdgeEvent } from '../../../net/edge/http/types.ts';
import { findOwners, isOfThisUser } from '../../../net/edge/pages/peer-owner.ts';
import { EdgeHouse, raw } from './edge-house.ts';

let house: EdgeHouse;
beforeEach(() => {
  house = new EdgeHouse();
});
afterEach(() => house.close());

const get = async (port: number, host: string, path: string, headers: Record<string, string> = {}) => {
  const request = http.get({ host: '127.0.0.1', port, path, headers: { host, ...headers } });
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  let body = '';
  answer.setEncoding('utf8').on('data', (chunk: string) => {
    body += chunk;
  });
  await once(answer, 'end');
  return { status: answer.statusCode, headers: answer.headers, body };
};

/** States that the index page's stream of events tells, one at a time. */
const statesOf = (stream: IncomingMessage): (() => Promise<{ stacks: unknown[] }>) => {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return async () => {
    for (;;) {
      const [whole = '', data] = /^[\s\S]*?event: state\ndata: (.*)\n\n/.exec(text) ?? [];
      if (data !== undefined) {
        text = text.slice(whole.length);
        return JSON.parse(data) as { stacks: unknown[] };
      }
      await once(stream, 'data');
    }
  };
};

describe('index page', () => {
  it('is the same under every name of this host, and asks for nothing from elsewhere', async () => {
    const port = await house.open();
    for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, 'hypr', 'hypr.localhost']) {
      const { status, headers, body } = await get(port, host, '/');
      expect([host, status]).toEqual([host, 200]);
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'/);
      expect(headers['access-control-allow-origin']).toBeUndefined();
      expect(body).not.toMatch(/https?:\/\//);
    }
    expect((await get(port, 'localhost', '/app.js')).body).not.toMatch(/innerHTML|eval|https?:\/\/[a-z]/);
    expect((await get(port, 'localhost', '/style.css')).body).not.toMatch(/url\(|@import/);
    expect((await get(port, 'localhost', '/nothing')).status).toBe(404);
  });

  it('tells nothing to other pages', async () => {
    house.name('web.shop', 1);
    const port = await house.open();
    const asked = [
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' },
      { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
      { origin: 'http://web.shop.localhost' },
      { origin: 'null' },
    ];
    for (const headers of asked) {
      for (const path of ['/', '/events', '/state.json', '/app.js']) {
        const { status, body } = await get(port, 'localhost', path, headers as unknown as Record<string, string>);
        expect([headers, path, status]).toEqual([headers, path, 403]);
        expect(body).not.toContain('web');
      }
    }
    expect((await get(port, 'rebound.example', '/state.json')).status).toBe(421);
    expect(await raw(port, 'POST /state.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 405 /,
    );
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    expect((await get(port, 'localhost', '/', link)).status).toBe(200);
  });

  it('shows each service once, with its names, ports, last lines and refusals, and changes at once', async () => {
    house.name('api.example.com.', 1, { stack: 'shop', service: 'web' }, 3000);
    house.name('web.shop', 1, { health: 'healthy' }, 3000);
    house.name('web-1.shop', 1, { service: 'web', replica: 'shop-web-1' }, 3000);
    house.name('shop', 1, { service: 'web' }, 3000);
    house.name('*.wild.shop', 1, { service: 'web' }, 3000);
    house.name('one.shop', 1, { service: 'many', replica: 'shop-many-1' });
    house.name('two.shop', 1, { service: 'many', replica: 'shop-many-2' });
    let changed: () => void = () => {};
    const lines = [{ stack: 'shop', replica: 'shop-web-1', time: 1, line: '\u001b[31mred\u001b[0m <b>' }];
    const port = await house.open({
      logs: {
        recent: async () => lines,
        onChange: (listener) => {
          changed = listener;
          return () => {};
        },
      },
    });
    const request = http.get({ host: '127.0.0.1', port, path: '/events', headers: { host: 'localhost' } });
    request.on('error', () => {});
    const [stream] = (await once(request, 'response')) as [IncomingMessage];
    const web = {
      ...{ name: 'web', state: 'running', ports: [{ port: 3000, protocol: 'http' }], web: 3000 },
      names: [
        { host: 'web.shop', full: false, https: true },
        { host: 'api.example.com', full: true, https: true },
      ],
    };
    const next = statesOf(stream);
    const first = await next();
    expect(first.stacks).toMatchObject([
      {
        name: 'shop',
        services: [web, { name: 'shop-many-1' }, { name: 'shop-many-2' }],
        logs: [{ replica: 'shop-web-1', line: 'red <b>' }],
      },
    ]);
    lines.push({ stack: 'shop', replica: 'shop-web-1', time: 2, line: 'more' });
    changed();
    expect(((await next()).stacks[0] as { logs: unknown[] }).logs).toHaveLength(2);
    house.services.length = 0;
    house.changed();
    expect((await next()).stacks).toEqual([]);
    request.destroy();
  });
});

describe('pages that watch', () => {
  it('answer HEAD at once', async () => {
    const port = await house.open();
    const answer = await raw(port, 'HEAD /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*text\/event-stream/);
  });
});

describe('owner of a peer', () => {
  const row = (local: string, remote: string, state: string, uid: number) =>
    `  0: 0100007F:${local} 0100007F:${remote} ${state} 0:0 0:0 0 ${uid} 0 1 1\n`;

  it('is the one whose socket connects from that port to ours', () => {
    const table = `head\n${row('1BA8', 'C000', '01', 7)}${row('C000', '1BA8', '01', 1000)}${row('C000', '0050', '01', 8)}${row('C000', '1BA8', '06', 0)}`;
    const peer = { address: '127.0.0.1', port: 0xc000, localAddress: '127.0.0.1', localPort: 0x1ba8 };
    expect(findOwners([table, undefined], peer)).toEqual([1000]);
    expect(findOwners([table], { ...peer, address: '::ffff:127.0.0.1', localAddress: '::ffff:127.0.0.1' })).toEqual([1000]);
    expect(findOwners([table], { ...peer, port: 0xc001 })).toEqual([]);
    expect(findOwners([table], { ...peer, address: '127.0.0.2' })).toEqual([]);
  });

  it('are nobody who comes by the address of a service: a supervisor passes on whoever it is', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port: localPort } = server.address() as AddressInfo;
    const ownersOf = async (address: string): Promise<boolean> => {
      const client = connect({ host: '127.0.0.1', port: localPort, localAddress: address });
      await once(client, 'connect');
      const answer = await isOfThisUser({ address, port: client.localPort, localAddress: '127.0.0.1', localPort });
      client.destroy();
      return answer;
    };
    expect([await ownersOf('127.0.0.1'), await ownersOf('127.64.0.9')]).toEqual([true, false]);
    server.close();
  });

  it('must be this user, which a port that no socket has is not', async () => {
    expect(await isOfThisUser({ address: '127.0.0.1', port: 1, localAddress: '127.0.0.1', localPort: 2 })).toBe(
      process.platform !== 'linux',
    );
  });
});

describe('refusals of dev servers', () => {
  const pages: Array<[string, number, string, string]> = [
    [
      'Vite',
      403,
      'Blocked request. This host ("web.shop.hypr") is not allowed.\nTo allow this host, add "web.shop.hypr" to `server.allowedHosts` in vite.config.js.',
      "allowedHosts: ['.shop.hypr']",
    ],
    [
      'Angular',
      403,
      'Blocked request. This host ("web.shop.hypr") is not allowed.\nTo allow this host, add it to allowedHosts under the serve target in angular.json.',
      'angular.json',
    ],
    ['webpack-dev-server', 403, 'Invalid Host header', 'devServer'],
    ['webpack-dev-server', 200, 'Invalid Host header', 'devServer'],
    ['Rails', 403, '<h1>Blocked hosts: web.shop.hypr</h1>', 'config.hosts << ".shop.hypr"'],
    ['Rails', 403, '<h1>Blocked host: web.shop.hypr</h1>', 'config.hosts'],
    ['Django', 400, '<title>DisallowedHost\n at /</title>', 'ALLOWED_HOSTS = [".shop.hypr"]'],
  ];

  it.each(pages)('of %s (%i) are known by their text, and their setting shown', (program, status, text, setting) => {
    const found = findRefusal(status, text, 'web.shop.hypr');
    expect(found?.program).toBe(program);
    expect(found?.setting).toContain(setting);
    expect(mayBeRefusal(status, ['Content-Type', 'text/html', 'Content-Length', String(text.length)])).toBe(true);
  });

  it('are not seen in other pages', () => {
    expect(findRefusal(403, 'Forbidden', 'web.shop.hypr')).toBeUndefined();
    expect(findRefusal(200, 'About: Invalid Host header', 'web.shop.hypr')).toBeUndefined();
    expect(mayBeRefusal(200, ['content-type', 'text/html', 'content-length', '500'])).toBe(false);
    expect(mayBeRefusal(403, ['content-type', 'application/json'])).toBe(false);
    expect(mayBeRefusal(403, ['content-type', 'text/html', 'content-encoding', 'gzip'])).toBe(false);
  });

  it('become a page for browsers and an event; others get what the service said', async () => {
    const upstream = http.createServer((_, response) => response.writeHead(403, { 'content-type': 'text/plain' }).end(pages[0]?.[2]));
    house.name('web.shop', await house.serve(upstream));
    house.name(
      'ok.shop',
      await house.serve(http.createServer((_, response) => response.writeHead(403, { 'content-type': 'text/plain' }).end('no'))),
    );
    const events: EdgeEvent[] = [];
    const port = await house.open({ onEvent: (event) => events.push(event) });
    const page = await get(port, 'web.shop.hypr', '/', { accept: 'text/html' });
    expect([page.status, page.headers['x-hypr-error']]).toEqual([403, 'EDGE_HOST_REFUSED']);
    expect(page.body).toContain('allowedHosts: [&#39;.shop.hypr&#39;]');
    expect(page.body).toContain('hypr.host-header: localhost');
    const plain = await get(port, 'web.shop.hypr', '/');
    expect([plain.status, plain.body]).toEqual([403, pages[0]?.[2]]);
    expect(await get(port, 'ok.shop.hypr', '/', { accept: 'text/html' })).toMatchObject({ status: 403, body: 'no' });
    expect(events).toHaveLength(2);
    expect(events[0]).toMatchObject({ type: 'host-refused', stack: 'shop', service: 'web', host: 'web.shop.hypr', program: 'Vite' });
  });
});

describe('certificateNames', () => {
  it('is one certificate for a project, and none for names that are not ours', () => {
    expect(certificateNames('web.shop.hypr', 'hypr')).toEqual(['shop.hypr', '*.shop.hypr']);
    expect(certificateNames('shop.hypr', 'hypr')).toEqual(['shop.hypr', '*.shop.hypr']);
    expect(certificateNames('3000.web.shop.hypr', 'hypr')).toEqual(['web.shop.hypr', '*.web.shop.hypr']);
    expect(certificateNames('web.shop.localhost', 'hypr')).toEqual(['shop.localhost', '*.shop.localhost']);
    expect(certificateNames('hypr', 'hypr')).toEqual(['hypr']);
    for (const host of ['example.com', 'a..hypr', '.hypr', 'x y.hypr', 'a.b.c.d.e.f.g.hypr', '*.hypr', '']) {
      expect([host, certificateNames(host, 'hypr')]).toEqual([host, undefined]);
    }
  });
});

describe('slow clients', () => {
  it('are let go when the head of their request does not come', async () => {
    const port = await house.open({ headMs: 300 });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nHost: loc');
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(chunk.toString()).toMatch(/^HTTP\/1\.1 408 /);
    await once(socket, 'close');
    const silent = connect(port, '127.0.0.1');
    await once(silent, 'close');
  });

  it('over HTTP/2 are let go when they ask for nothing any more, also after a request that took longer', async () => {
    const service = http.createServer((_request, response) => setTimeout(() => response.end('late'), 700));
    house.name('web.shop', await house.serve(service));
    const port = await house.open({ idleMs: 200 });
    const client = http2.connect(`http://127.0.0.1:${port}`);
    const closed = once(client, 'close');
    const request = client.request({ ':path': '/', ':authority': 'web.shop.hypr' });
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    await once(request, 'end');
    expect(text).toBe('late');
    await closed;
  });
});
