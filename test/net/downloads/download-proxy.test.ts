import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { type AddressInfo, connect, createServer as createTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { matchesHost, openDownloadProxy } from '../../../net/downloads/download-proxy.ts';

const folder = mkdtempSync(join(tmpdir(), 'hypr-proxy-'));
const seen: string[] = [];
const refused: string[] = [];
let version = '"1"';
const origin = createServer((request, response) => {
  const asked = request.headers['if-none-match'];
  seen.push(`${request.method} ${request.url} ${asked ?? '-'} ${request.headers['proxy-connection'] ?? ''}`.trim());
  if (asked === version) {
    response.writeHead(304).end();
  } else if (request.url === '/upgrade') {
    request.socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
  } else if (request.url === '/zip' && request.headers['accept-encoding'] !== undefined) {
    response.writeHead(200, { etag: version, 'content-encoding': 'gzip', vary: 'accept-encoding' }).end('zipped');
  } else if (request.url === '/short') {
    response.writeHead(200, { etag: version, 'content-length': 50 }).write('half');
    setImmediate(() => response.destroy());
  } else {
    response.writeHead(200, { etag: version, 'content-type': 'text/x' }).end(`body ${version}`);
  }
});
let port = 0;
let proxyPort = 0;
let close: () => void = () => {};

beforeAll(async () => {
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  port = (origin.address() as AddressInfo).port;
  const proxy = openDownloadProxy({
    allow: [`127.0.0.1:${port}`],
    onRefused: (host) => refused.push(host),
    cacheFolder: join(folder, 'cache'),
  });
  const front = createTcp((socket) => proxy.accept(socket));
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  proxyPort = (front.address() as AddressInfo).port;
  close = () => {
    proxy.close();
    front.close();
  };
});
afterAll(() => {
  close();
  origin.close();
  rmSync(folder, { recursive: true, force: true });
});

const get = async (url: string, headers = {}): Promise<[number | undefined, string]> => {
  const request = httpRequest({
    port: proxyPort,
    path: url,
    headers: { 'proxy-connection': 'keep-alive', ...headers },
    agent: false,
  }).end();
  let text = '';
  const [response] = await once(request, 'response').catch(() => []);
  if (response === undefined) {
    return [undefined, '!'];
  }
  try {
    for await (const chunk of response) {
      text += String(chunk);
    }
  } catch {
    text += '!';
  }
  return [response.statusCode, text];
};

describe('the proxy of a build', () => {
  it('keeps what its origin can say to be unchanged', async () => {
    const url = `http://127.0.0.1:${port}/a`;
    expect(await get(url)).toEqual([200, 'body "1"']);
    expect(await get(url)).toEqual([200, 'body "1"']);
    version = '"2"';
    expect(await get(url)).toEqual([200, 'body "2"']);
    expect(await get(url, { range: 'bytes=0-1' })).toEqual([200, 'body "2"']);
    expect(seen).toEqual(['GET /a -', 'GET /a "1"', 'GET /a "1"', 'GET /a -']);
  });

  it('gives what is encoded to whoever asked for it only', async () => {
    const url = `http://127.0.0.1:${port}/zip`;
    expect(await get(url, { 'accept-encoding': 'gzip' })).toEqual([200, 'zipped']);
    expect(await get(url)).toEqual([200, `body ${version}`]);
  });

  it('answers with 502 when a server upgrades what nobody asked it to', async () => {
    expect((await get(`http://127.0.0.1:${port}/upgrade`))[0]).toBe(502);
  });

  it('never keeps half an answer', async () => {
    seen.length = 0;
    const url = `http://127.0.0.1:${port}/short`;
    expect((await get(url))[1]).toMatch(/!$/);
    expect((await get(url))[1]).toMatch(/!$/);
    expect(seen).toEqual(['GET /short -', 'GET /short -']);
  });

  it('refuses other hosts, says so once each, and takes only its own kind of request', async () => {
    expect(await get('http://example.invalid/x')).toEqual([403, expect.stringContaining('example.invalid is not on the list')]);
    await get('http://example.invalid/y');
    expect((await get('/x'))[0]).toBe(400);
    expect((await get('ftp://127.0.0.1/x'))[0]).toBe(400);
    expect(refused).toEqual(['example.invalid:80']);
  });

  it('tunnels to allowed hosts only', async () => {
    const tunnel = async (target: string): Promise<string> => {
      const socket = connect(proxyPort, '127.0.0.1');
      socket.write(`CONNECT ${target} HTTP/1.1\r\n\r\n`);
      let text = '';
      for await (const chunk of socket) {
        text += String(chunk);
        if (text.endsWith('established\r\n\r\n')) {
          socket.write('GET /t HTTP/1.0\r\n\r\n');
        }
      }
      return text;
    };
    expect(await tunnel(`127.0.0.1:${port}`)).toMatch(/established[\s\S]*body "2"$/);
    expect(await tunnel(`127.0.0.1:${port + 1}`)).toMatch(/^HTTP\/1.1 403/);
    expect(await tunnel('nonsense')).toMatch(/^HTTP\/1.1 403/);
  });

  it('matches hosts by name, by what is below, and by port', () => {
    const allow = ['registry.npmjs.org', '.debian.org', 'mirror.local:8080'];
    const cases: Array<[string, number, boolean]> = [
      ['registry.npmjs.org', 443, true],
      ['REGISTRY.npmjs.org.', 80, true],
      ['registry.npmjs.org', 22, false],
      ['evilregistry.npmjs.org', 443, false],
      ['deb.debian.org', 80, true],
      ['debian.org', 80, true],
      ['notdebian.org', 80, false],
      ['mirror.local', 8080, true],
      ['mirror.local', 80, false],
      ['', 80, false],
    ];
    for (const [host, at, expected] of cases) {
      expect(matchesHost(allow, host, at), `${host}:${at}`).toBe(expected);
    }
  });
});
