import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { createServer } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { InsideEdge, type InsideMachine } from '../../../net/edge/inside.ts';
import { dial, EdgeHouse } from './edge-house.ts';

describe('edge › between machines', () => {
  let house: EdgeHouse;
  let edge: InsideEdge;
  let ca: string;
  let port: number;
  let machine: InsideMachine;
  /** The machine that asks. */
  let from: string;
  beforeEach(async () => {
    house = new EdgeHouse();
    from = '10.0.0.9';
    const authority = await house.authority();
    ca = authority.ca;
    edge = new InsideEdge({ domain: 'hypr', issuer: authority.issuer });
    house.onClose(() => edge.close());
    const service = http.createServer((request, response) => response.end(JSON.stringify([request.url, request.headers])));
    service.on('upgrade', (request, socket) => {
      socket.write('HTTP/1.1 101 \r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n');
      socket.write(String(request.headers['x-forwarded-for']));
      socket.pipe(socket);
    });
    const target = await house.serve(service);
    machine = {
      stack: 'shop',
      service: 'api',
      hosts: new Set(['api.shop.hypr', 'api-1.shop.hypr']),
      port: 3000,
      connect: () => dial(target),
    };
    port = await house.serve(createServer((socket) => edge.accept(socket, from, machine)));
  });
  afterEach(() => house.close());

  const get = (host: string, options: https.RequestOptions = {}): Promise<{ status: number; code: string; body: string }> =>
    new Promise((resolve, reject) => {
      const headers = { host, ...options.headers };
      const all = { host: '127.0.0.1', port, servername: 'api.shop.hypr', ca, path: '/page', agent: false, ...options, headers } as const;
      const asked = https.get(all, (answer) => {
        let body = '';
        answer.on('data', (chunk) => {
          body += chunk;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, code: String(answer.headers['x-hypr-error']), body }));
      });
      asked.on('error', reject);
    });

  test('a request comes to the machine, with who asks', async () => {
    for (const host of ['api.shop.hypr', 'API-1.shop.hypr:443']) {
      const { status, body } = await get(host, { headers: { 'x-forwarded-for': '1.2.3.4' } });
      const [path, headers] = JSON.parse(body);
      expect([status, path]).toEqual([200, '/page']);
      expect(headers).toMatchObject({ host, 'x-forwarded-for': '10.0.0.9', 'x-forwarded-proto': 'https' });
    }
  });

  test('HTTP/2', async () => {
    const session = http2.connect(`https://api.shop.hypr:${port}`, { ca, createConnection: () => tlsTo(['h2']) });
    const stream = session.request({ ':path': '/page', ':authority': 'api.shop.hypr' });
    let body = '';
    for await (const chunk of stream) {
      body += chunk;
    }
    expect(JSON.parse(body)[1]).toMatchObject({ 'x-forwarded-for': '10.0.0.9' });
    session.close();
  });

  const tlsTo = (ALPNProtocols: string[] = []): TLSSocket =>
    connectTls({ host: '127.0.0.1', port, ca, servername: 'api.shop.hypr', ALPNProtocols });

  test('an upgrade', async () => {
    const client = tlsTo();
    client.write('GET / HTTP/1.1\r\nhost: api.shop.hypr\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n');
    let text = '';
    for await (const chunk of client) {
      text += chunk;
      if (text.endsWith('10.0.0.9')) {
        break;
      }
    }
    expect(text).toMatch(/^HTTP\/1.1 101 /);
  });

  test('nothing else is reached through it: other machines, other ports, pages of the edge, and it is no proxy', async () => {
    for (const host of ['db.shop.hypr', '9229.api.shop.hypr', 'api.shop.localhost', 'localhost', 'hypr', '127.0.0.1', 'example.com']) {
      expect(await get(host), host).toMatchObject({ status: 421, code: 'EDGE_HOST' });
    }
    expect(await get('x', { path: 'http://api.shop.hypr:9229/' })).toMatchObject({ status: 503 });
    expect(await get('api.shop.hypr', { path: 'http://db.shop.hypr/' })).toMatchObject({ status: 421 });
    const tunnel = tlsTo();
    tunnel.write('CONNECT api.shop.hypr:9229 HTTP/1.1\r\nhost: api.shop.hypr:9229\r\n\r\n');
    const [answer] = await once(tunnel, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 403 /);
    tunnel.destroy();
    await expect(get('bank.example', { servername: 'bank.example' })).rejects.toThrow();
  });

  test('one machine has 256 connections, and takes none of the others away', async () => {
    const held = await Promise.all(
      Array.from({ length: 256 }, async () => {
        const socket = await dial(port);
        house.onClose(() => socket.destroy());
        return socket;
      }),
    );
    await expect(get('api.shop.hypr')).rejects.toThrow();
    from = '10.0.0.8';
    expect(await get('api.shop.hypr')).toMatchObject({ status: 200 });
    from = '10.0.0.9';
    const left = once(held[0] as (typeof held)[number], 'close');
    held[0]?.destroy();
    await left;
    // The other end sees it a moment later.
    await expect
      .poll(
        () =>
          get('api.shop.hypr').then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 20_000 },
      )
      .toBe(200);
  });

  test('connections end with the machine', async () => {
    const client = tlsTo();
    await once(client, 'secureConnect');
    const ended = once(
      client.on('error', () => {}),
      'close',
    );
    edge.keepOnly(new Set());
    await ended;
  });
});
