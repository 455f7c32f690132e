import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import { connect, createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EdgeHouse, raw, tcpServer } from './edge-house.ts';

let house: EdgeHouse;
beforeEach(() => {
  house = new EdgeHouse();
});
afterEach(() => house.close());

interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  trailers: IncomingMessage['trailers'];
  body: string;
}

const ask = (port: number, host: string, options: http.RequestOptions & { send?: string } = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { send, ...rest } = options;
    const request = http.request({ host: '127.0.0.1', port, ...rest, headers: { ...(rest.headers as object), host } }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, trailers: answer.trailers, body }));
      answer.on('error', reject);
    });
    request.on('error', reject);
    request.end(send);
  });

/** A service that tells what it was asked. */
const echo = (request: IncomingMessage, response: http.ServerResponse): void => {
  let body = '';
  request.on('data', (chunk: Buffer) => {
    body += chunk.toString();
  });
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }));
  });
};

describe('edge › requests over HTTP/1.1', () => {
  it('are asked again of a service that broke off a refusal, and get only what it says then', async () => {
    let count = 0;
    const service = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        if (++count > 1) {
          socket.end('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello');
          return;
        }
        // The edge holds it back, to see whether it is the refusal of a dev server.
        socket.write('HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\npartial', () => socket.destroy());
      });
    });
    house.name('web.shop', await house.serve(service));
    const port = await house.open();
    expect(await ask(port, 'web.shop.hypr')).toMatchObject({ status: 200, body: 'hello' });
    expect(count).toBe(2);
  });

  it('reach the service of their Host, which is told who asked for what', async () => {
    house.name('web.shop', await house.serve(http.createServer(echo)));
    const port = await house.open();
    const answer = await ask(port, `web.shop.localhost:${port}`, {
      method: 'POST',
      path: '/a//b?c=%20',
      send: 'hello',
      headers: {
        'x-forwarded-for': '6.6.6.6',
        forwarded: 'for=6.6.6.6',
        connection: 'keep-alive, x-secret',
        'x-secret': '1',
        te: 'trailers',
      },
    });
    const seen = JSON.parse(answer.body) as { method: string; url: string; headers: Record<string, string>; body: string };
    expect(seen).toMatchObject({ method: 'POST', url: '/a//b?c=%20', body: 'hello' });
    expect(seen.headers).toMatchObject({
      host: `web.shop.localhost:${port}`,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': `web.shop.localhost:${port}`,
      'x-forwarded-proto': 'http',
    });
    expect(Object.keys(seen.headers)).not.toEqual(expect.arrayContaining(['forwarded']));
    expect(seen.headers['x-secret'] ?? seen.headers.te).toBeUndefined();
  });

  it('are answered with all headers as the service wrote them, without those of its connection', async () => {
    house.name(
      'web.shop',
      await house.serve(
        http.createServer((_, response) => {
          response.writeHead(201, 'Made', [
            'Set-Cookie',
            'a=1',
            'Set-Cookie',
            'b=2',
            'X-Case',
            'é',
            'Keep-Alive',
            'timeout=99',
            'Trailer',
            'X-Sum',
          ]);
          response.write('part');
          response.addTrailers({ 'X-Sum': 'abc' });
          response.end();
        }),
      ),
    );
    const port = await house.open();
    const answer = await ask(port, 'web.shop.localhost');
    expect(answer).toMatchObject({ status: 201, body: 'part', trailers: { 'x-sum': 'abc' } });
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(answer.headers['keep-alive']).not.toContain('99');
  });

  it('get no body for HEAD, and may be answered early (103)', async () => {
    house.name(
      'web.shop',
      await house.serve(
        http.createServer((_, response) => {
          response.writeEarlyHints({ link: '</style.css>; rel=preload' }, () =>
            response.writeHead(200, { 'content-length': 5 }).end('12345'),
          );
        }),
      ),
    );
    const port = await house.open();
    expect(await ask(port, 'web.shop.localhost', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
    const text = await raw(port, 'GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: close\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/style\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 /);
  });

  it('reach another port of the service by a number in front of the name', async () => {
    const other = await house.serve(http.createServer((_, response) => response.end('other')));
    house.name(
      'web.shop',
      other,
      {
        ports: [
          { port: 80, protocol: 'http' },
          { port: 3000, protocol: 'http' },
        ],
        webPort: 80,
      },
      3000,
    );
    const port = await house.open();
    expect((await ask(port, '3000.web.shop.localhost')).body).toBe('other');
    expect((await ask(port, '3001.web.shop.localhost')).status).toBe(503);
  });

  it('have the Host that a service wants to read', async () => {
    house.name('web.shop', await house.serve(http.createServer(echo)), { hostHeader: 'localhost' });
    const { headers } = JSON.parse((await ask(await house.open(), 'web.shop.localhost')).body) as { headers: Record<string, string> };
    expect([headers.host, headers['x-forwarded-host']]).toEqual(['localhost', undefined]);
  });

  it('stream events at once, and end at the service when the client leaves', async () => {
    let left: () => void = () => {};
    const gone = new Promise<void>((resolve) => {
      left = resolve;
    });
    const service = http.createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      setTimeout(() => response.write('data: 1\n\n'), 30);
      request.on('close', () => left());
    });
    house.name('web.shop', await house.serve(service));
    const port = await house.open();
    const request = http.get({ host: '127.0.0.1', port, headers: { host: 'web.shop.localhost' } });
    request.on('error', () => {});
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    const [chunk] = (await once(answer, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('data: 1\n\n');
    request.destroy();
    await gone;
  });

  it('carry an upload at the pace of the service, without holding it', async () => {
    const size = 96 * 1024 * 1024;
    const sum = createHash('sha256');
    let taken = 0;
    const service = http.createServer((request, response) => {
      request.pause();
      setTimeout(() => request.resume(), 150);
      request.on('data', (chunk: Buffer) => {
        taken += chunk.length;
        sum.update(chunk);
      });
      request.on('end', () => response.end('done'));
    });
    house.name('web.shop', await house.serve(service));
    const port = await house.open();
    const expected = createHash('sha256');
    const piece = randomBytes(1024 * 1024);
    const request = http.request({
      host: '127.0.0.1',
      port,
      method: 'PUT',
      headers: { host: 'web.shop.localhost', 'content-length': size },
    });
    const answered = once(request, 'response');
    let sent = 0;
    let stalledAt = Number.POSITIVE_INFINITY;
    setTimeout(() => {
      stalledAt = sent;
    }, 120);
    while (sent < size) {
      expected.update(piece);
      sent += piece.length;
      if (!request.write(piece)) {
        await once(request, 'drain');
      }
    }
    request.end();
    const [answer] = (await answered) as [IncomingMessage];
    answer.resume();
    await once(answer, 'end');
    expect([taken, sum.digest('hex')]).toEqual([size, expected.digest('hex')]);
    // While the service did not read, the client was held back by what sockets and streams hold.
    expect(stalledAt).toBeLessThan(64 * 1024 * 1024);
  });

  it('give the answer that comes before the upload ends', async () => {
    const service = http.createServer((request, response) => {
      request.once('data', () => response.writeHead(413).end('too much'));
    });
    house.name('web.shop', await house.serve(service));
    const port = await house.open();
    const request = http.request({
      host: '127.0.0.1',
      port,
      method: 'POST',
      headers: { host: 'web.shop.localhost', 'content-length': 64 * 1024 * 1024 },
    });
    request.on('error', () => {});
    request.write(randomBytes(512 * 1024));
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    const [body] = (await once(answer, 'data')) as [Buffer];
    expect([answer.statusCode, body.toString()]).toEqual([413, 'too much']);
    request.destroy();
  });

  it('wait for the word of the service when they expect 100-continue', async () => {
    const service = http.createServer(echo);
    service.on('checkContinue', (request: IncomingMessage, response: http.ServerResponse) => {
      if (request.url === '/no') {
        response.writeHead(403, { 'content-length': 2, connection: 'close' }).end('no');
      } else {
        response.writeContinue();
        echo(request, response);
      }
    });
    house.name('web.shop', await house.serve(service));
    const port = await house.open();
    const head = (path: string) =>
      `POST ${path} HTTP/1.1\r\nHost: web.shop.localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n`;
    const client = connect(port, '127.0.0.1');
    client.write(head('/yes'));
    const [first] = (await once(client, 'data')) as [Buffer];
    expect(first.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.write('body');
    let rest = '';
    for await (const chunk of client) {
      rest += String(chunk);
    }
    expect(rest).toContain('"body":"body"');
    const refused = await raw(port, head('/no'), (text) => text.endsWith('no'));
    expect(refused).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('are sent again when a kept connection had been closed, and only then', async () => {
    let connections = 0;
    const service = tcpServer((socket) => {
      connections += 1;
      // Answers once, and closes when asked again.
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        socket.once('data', () => socket.destroy());
      });
    });
    house.name('web.shop', await house.serve(service));
    const port = await house.open();
    expect((await ask(port, 'web.shop.localhost')).body).toBe('ok');
    const posted = await ask(port, 'web.shop.localhost', { method: 'POST', send: 'x' });
    expect([posted.status, posted.headers['x-hypr-error'], connections]).toEqual([502, 'EDGE_UPSTREAM', 1]);
    expect((await ask(port, 'web.shop.localhost')).body).toBe('ok');
    expect((await ask(port, 'web.shop.localhost')).body).toBe('ok');
    expect(connections).toBe(3);
  });
});

describe('edge › WebSocket', () => {
  const upgradeText = (host: string) =>
    `GET /chat HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a2V5\r\n\r\n`;

  it('goes both ways after 101, also bytes that came with the request', async () => {
    const service = http.createServer();
    service.on('upgrade', (request, socket, head) => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Path: ${request.url}\r\n\r\n`);
      socket.write(head);
      socket.pipe(socket);
    });
    house.name('web.shop', await house.serve(service));
    const port = await house.open();
    const text = await raw(port, `${upgradeText('web.shop.localhost')}early`, (seen) => seen.endsWith('early'));
    expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(text).toContain('X-Path: /chat');
  });

  it('gives the answer of a service that refuses', async () => {
    house.name('web.shop', await house.serve(http.createServer((_, response) => response.writeHead(401).end('who are you'))));
    const text = await raw(await house.open(), upgradeText('web.shop.localhost'));
    expect(text).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n[\s\S]*who are you/);
  });

  it('is refused for names that are not ours, and for services that are not there', async () => {
    house.name('web.shop', 1, { state: 'starting' });
    const port = await house.open();
    expect(await raw(port, upgradeText('evil.example'))).toMatch(/^HTTP\/1\.1 421 \r\nx-hypr-error: EDGE_HOST\r\n/);
    expect(await raw(port, upgradeText('web.shop.localhost'))).toMatch(/^HTTP\/1\.1 503 \r\nx-hypr-error: NAME_NOT_READY\r\n/);
  });

  it('ends at the service when the client ends', async () => {
    let ended: () => void = () => {};
    const gone = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const service = http.createServer();
    service.on('upgrade', (_, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
      socket.resume();
      socket.on('end', () => ended());
    });
    house.name('web.shop', await house.serve(service));
    await raw(await house.open(), upgradeText('web.shop.localhost'), (seen) => seen.includes('\r\n\r\n'));
    await gone;
  });
});

describe('edge › TLS and HTTP/2', () => {
  it('shows each project a certificate of its own and speaks HTTP/2 by ALPN', async () => {
    house.name('web.shop', await house.serve(http.createServer(echo)));
    const { ca, issuer } = await house.authority();
    const port = await house.open({ issuer });
    const client = http2.connect('https://web.shop.hypr', {
      ca,
      createConnection: () => tls.connect({ port, host: '127.0.0.1', servername: 'web.shop.hypr', ca, ALPNProtocols: ['h2'] }),
    });
    house.onClose(() => client.destroy());
    const stream = client.request({ ':path': '/x', ':authority': 'web.shop.hypr', cookie: ['a=1', 'b=2'] as unknown as string });
    let body = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    await once(stream, 'end');
    const { headers } = JSON.parse(body) as { headers: Record<string, string> };
    expect(headers).toMatchObject({ host: 'web.shop.hypr', 'x-forwarded-proto': 'https', cookie: 'a=1; b=2' });
  });

  it('speaks HTTP/1.1 to who asks for that, and shows no certificate for names that are not ours', async () => {
    house.name('web.shop', await house.serve(http.createServer(echo)));
    const { ca, issuer } = await house.authority();
    const port = await house.open({ issuer });
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'web.shop.hypr', ca, ALPNProtocols: ['http/1.1'] });
    await once(socket, 'secureConnect');
    expect(socket.getPeerCertificate().subjectaltname).toBe('DNS:shop.hypr, DNS:*.shop.hypr');
    socket.write('GET / HTTP/1.1\r\nHost: web.shop.hypr\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of socket) {
      text += String(chunk);
    }
    expect(text).toContain('"x-forwarded-proto":"https"');
    const refused = tls.connect({ port, host: '127.0.0.1', servername: 'bank.example', ca });
    const [error] = (await once(refused, 'error')) as [Error];
    expect(error).toBeInstanceOf(Error);
  });

  it('carries gRPC with its trailers, with and without TLS', async () => {
    const service = http2.createServer();
    service.on('stream', (stream, headers) => {
      if (headers[':path'] === '/bare') {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' }, { endStream: true });
        return;
      }
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': String(headers[':authority']) }));
      stream.pipe(stream);
    });
    house.name('api.shop', await house.serve(service as never));
    const port = await house.open();
    const client = http2.connect(`http://127.0.0.1:${port}`);
    house.onClose(() => client.destroy());
    const stream = client.request({
      ':method': 'POST',
      ':path': '/call',
      ':authority': 'api.shop.hypr',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let trailers: unknown;
    stream.on('trailers', (given) => {
      trailers = given;
    });
    stream.write('one');
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('one');
    stream.end();
    await once(stream, 'end');
    expect(trailers).toMatchObject({ 'grpc-status': '0', 'grpc-message': 'api.shop.hypr' });
    const bare = client.request({ ':method': 'POST', ':path': '/bare', ':authority': 'api.shop.hypr', 'content-type': 'application/grpc' });
    bare.end();
    const [head, flags] = (await once(bare, 'response')) as [Record<string, string>, number];
    expect([head['grpc-status'], flags & http2.constants.NGHTTP2_FLAG_END_STREAM]).toEqual(['12', 1]);
    service.close();
  });

  it('carries gRPC to whoever has the name now', async () => {
    const serve = async (answer: string) => {
      const service = http2.createServer();
      service.on('stream', (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'x-is': answer }, { endStream: true });
      });
      return house.serve(service as never);
    };
    const [one, other] = [await serve('one'), await serve('other')];
    house.name('api.shop', one, { service: 'one' });
    const port = await house.open();
    const client = http2.connect(`http://127.0.0.1:${port}`);
    house.onClose(() => client.destroy());
    const call = async (): Promise<unknown> => {
      const stream = client.request({ ':method': 'POST', ':path': '/', ':authority': 'api.shop.hypr', 'content-type': 'application/grpc' });
      stream.end();
      const [head] = (await once(stream, 'response')) as [Record<string, string>];
      stream.resume();
      return head['x-is'];
    };
    expect([await call(), await call()]).toEqual(['one', 'one']);
    house.services.splice(0);
    house.name('api.shop', other, { service: 'other' });
    expect(await call()).toBe('other');
  });
});

describe('edge › as a proxy', () => {
  it('takes absolute URIs of names of the domain, with the port of the service', async () => {
    house.name('web.shop', await house.serve(http.createServer(echo)), {}, 3000);
    const port = await house.open();
    const seen = JSON.parse((await ask(port, 'other.example', { path: 'http://web.shop.hypr:3000//x?y' })).body) as {
      url: string;
      headers: Record<string, string>;
    };
    expect([seen.url, seen.headers.host]).toEqual(['//x?y', 'web.shop.hypr:3000']);
    for (const path of ['http://example.com/', 'http://localhost:3000/', 'http://127.0.0.1/', 'ftp://web.shop.hypr/']) {
      const { status } = await ask(port, 'web.shop.hypr', { path });
      expect([path, status]).toEqual([path, path.startsWith('ftp') ? 400 : 403]);
    }
  });

  it('ends TLS inside CONNECT, for names of the domain and their two ports only', async () => {
    house.name('web.shop', await house.serve(http.createServer(echo)));
    const { ca, issuer } = await house.authority();
    const port = await house.open({ issuer });
    const request = http.request({ host: '127.0.0.1', port, method: 'CONNECT', path: 'web.shop.hypr:443' });
    request.end();
    const [answer, socket] = (await once(request, 'connect')) as [IncomingMessage, import('node:net').Socket];
    expect(answer.statusCode).toBe(200);
    const secure = tls.connect({ socket, servername: 'web.shop.hypr', ca });
    secure.write('GET / HTTP/1.1\r\nHost: web.shop.hypr\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of secure) {
      text += String(chunk);
    }
    expect(text).toContain('"x-forwarded-host":"web.shop.hypr"');
    for (const target of [
      'example.com:443',
      'web.shop.hypr:22',
      'web.shop.hypr',
      'localhost:443',
      '127.0.0.1:80',
      '[::1]:443',
      'web.shop:443',
    ]) {
      expect([target, await raw(port, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)]).toEqual([
        target,
        expect.stringMatching(/^HTTP\/1\.1 403 \r\nx-hypr-error: EDGE_HOST/),
      ]);
    }
  });

  it.each(['', ' in TLS', ' in TLS in TLS'])('takes no CONNECT in a CONNECT%s', async (layers) => {
    const { ca, issuer } = await house.authority();
    const port = await house.open({ issuer });
    const outer = connect(port, '127.0.0.1');
    house.onClose(() => outer.destroy());
    let socket: Duplex = outer;
    const secured = async () => {
      socket = tls.connect({ socket, servername: 'web.shop.hypr', ca, ALPNProtocols: ['http/1.1'] });
      await once(socket, 'secureConnect');
    };
    if (layers === ' in TLS in TLS') {
      await secured();
    }
    const connectOnce = async () => {
      socket.write('CONNECT web.shop.hypr:443 HTTP/1.1\r\nHost: web.shop.hypr\r\n\r\n');
      const [answer] = (await once(socket, 'data')) as [Buffer];
      return answer.toString('latin1').split('\r\n')[0];
    };
    house.name('web.shop', 1);
    expect(await connectOnce()).toBe('HTTP/1.1 200 Connection established');
    if (layers !== '') {
      await secured();
    }
    expect(await connectOnce()).toBe('HTTP/1.1 403 ');
  });

  it('serves a PAC file that sends nothing else through it', async () => {
    const port = await house.open();
    const { body, headers } = await ask(port, `127.0.0.1:${port}`, { path: '/proxy.pac' });
    expect(headers['content-type']).toBe('application/x-ns-proxy-autoconfig');
    const find = new Function('dnsDomainIs', `${body}; return FindProxyForURL;`)((host: string, domain: string) =>
      host.endsWith(domain),
    ) as (url: string, host: string) => string;
    expect(['web.shop.hypr', 'hypr', 'WEB.SHOP.HYPR', 'example.com', 'nothypr', 'localhost'].map((host) => find('', host))).toEqual([
      ...Array(3).fill(`PROXY 127.0.0.1:${port}`),
      ...Array(3).fill('DIRECT'),
    ]);
  });
});

describe('edge › what is not there', () => {
  it('is a page that says so, without a word about other services', async () => {
    house.name('web.shop', 1);
    const port = await house.open();
    const unknown = await ask(port, 'db.shop.localhost', { headers: { accept: 'text/html' } });
    expect([unknown.status, unknown.headers['x-hypr-error']]).toEqual([404, 'NAME_UNKNOWN']);
    expect(unknown.body).toContain('Nothing is called db.shop');
    const foreign = await ask(port, 'rebound.example', { headers: { accept: 'text/html' } });
    expect([foreign.status, foreign.headers['x-hypr-error']]).toEqual([421, 'EDGE_HOST']);
    expect(foreign.body).not.toContain('shop');
  });

  it('answers 503 while a service does not run or listen, 502 when it breaks, 504 when it is silent', async () => {
    house.name('a.shop', 1, { state: 'starting' });
    house.name('b.shop', 1, { ports: [], webPort: undefined as never });
    house.name('c.shop', await house.serve(tcpServer((socket) => socket.destroy())));
    house.name('d.shop', await house.serve(tcpServer((socket) => socket.end('nonsense\r\n\r\n'))));
    house.name('e.shop', 1);
    const port = await house.open();
    const seen = await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map(async (name) => {
        const { status, headers } = await ask(port, `${name}.shop.localhost`);
        return [name, status, headers['x-hypr-error']];
      }),
    );
    expect(seen).toEqual([
      ['a', 503, 'NAME_NOT_READY'],
      ['b', 503, 'NAME_NOT_READY'],
      ['c', 502, 'EDGE_UPSTREAM'],
      ['d', 502, 'EDGE_UPSTREAM'],
      ['e', 503, 'NAME_NOT_READY'],
    ]);
  });

  it('tells a page that waits as soon as the service is there', async () => {
    const upstream = await house.serve(http.createServer(echo));
    const service = house.name('web.shop', upstream, { state: 'starting' });
    const port = await house.open();
    const page = await ask(port, 'web.shop.localhost', { headers: { accept: 'text/html' } });
    expect(page.body).toContain('new EventSource');
    const request = http.get({ host: '127.0.0.1', port, path: '/.well-known/hypr/wait', headers: { host: 'web.shop.localhost' } });
    request.on('error', () => {});
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    let text = '';
    answer.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    service.state = 'running';
    house.changed();
    while (!text.includes('event: ready')) {
      await once(answer, 'data');
    }
    request.destroy();
  });

  it('escapes what a guest or a stranger wrote', async () => {
    house.name('web.shop', 1, { state: '<script>alert(1)</script>\u001b[31m' });
    const { body } = await ask(await house.open(), 'web.shop.localhost', { headers: { accept: 'text/html' } });
    expect(body).not.toContain('<script>alert');
    expect(body).not.toContain('\u001b');
  });
});

describe('edge › limits', () => {
  it('refuses requests that two servers could read differently', async () => {
    let reached = 0;
    house.name(
      'web.shop',
      await house.serve(
        http.createServer((_, response) => {
          reached += 1;
          response.end('ok');
        }),
      ),
    );
    const port = await house.open();
    const head = 'POST / HTTP/1.1\r\nHost: web.shop.localhost\r\n';
    for (const text of [
      `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n`,
      `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
      `${head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
      `${head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
      `${head}Content-Length: +5\r\n\r\nhello`,
      `${head}X: a\nY: b\r\n\r\n`,
      'GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nHost: evil.example\r\n\r\n',
      'GET / HTTP/1.1\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: web.shop.localhost@evil.example\r\n\r\n',
      'GET http://web.shop.hypr@evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n',
    ]) {
      expect([text, await raw(port, text, (answer) => answer.includes('\r\n\r\n'))]).toEqual([
        text,
        expect.stringMatching(/^HTTP\/1\.1 4\d\d /),
      ]);
    }
    expect(reached).toBe(0);
  });

  it('refuses heads larger than 64 KiB, and takes large cookies', async () => {
    house.name('web.shop', await house.serve(http.createServer({ maxHeaderSize: 128 * 1024 }, (_, response) => response.end('ok'))));
    const port = await house.open();
    expect((await ask(port, 'web.shop.localhost', { headers: { cookie: 'x'.repeat(48 * 1024) } })).body).toBe('ok');
    expect((await ask(port, 'web.shop.localhost', { headers: { cookie: 'x'.repeat(80 * 1024) } })).status).toBe(431);
  });

  it('takes loopback peers only', async () => {
    const { isLoopback } = await import('../../../net/addresses/loopback.ts');
    expect(['127.0.0.1', '127.9.8.7', '::1', '::ffff:127.0.0.1'].every(isLoopback)).toBe(true);
    expect(['10.0.0.1', '::ffff:10.0.0.1', '2001:db8::1', '1127.0.0.1', undefined].some(isLoopback)).toBe(false);
  });

  it('says who has its port', async () => {
    const server = createServer();
    const port = await house.serve(server);
    await expect(house.open({ listen: [{ address: '127.0.0.1', port }] })).rejects.toMatchObject({ code: 'NET_PORT_IN_USE' });
  });
});
