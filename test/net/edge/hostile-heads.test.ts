import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EdgeHouse, raw, tcpServer } from './edge-house.ts';

let house: EdgeHouse;
beforeEach(() => {
  house = new EdgeHouse();
});
afterEach(() => house.close());

const HOST = 'web.shop.localhost';

/** A service that answers every request with these bytes. */
const answering = (text: string) => tcpServer((socket) => socket.once('data', () => socket.end(text, 'latin1')));

/** Asks over HTTP/2 without TLS; the code with which the stream ended, what was answered, and its trailers. */
const ask2 = async (port: number) => {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  house.onClose(() => session.destroy());
  const stream = session.request({ ':authority': HOST, ':path': '/' });
  let headers: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders = {};
  stream.on('error', () => {});
  stream.on('response', (got) => {
    headers = got;
  });
  stream.on('trailers', (got: http2.IncomingHttpHeaders) => {
    trailers = got;
  });
  stream.resume();
  await once(stream, 'close');
  return { code: stream.rstCode, headers, trailers };
};

describe('edge › heads that Node cannot send', () => {
  it('a client’s Trailer header does not end the edge', async () => {
    house.name('web.shop', await house.serve(http.createServer((_, response) => response.end('fine'))));
    const port = await house.open();
    const upgrade = await raw(port, `GET / HTTP/1.1\r\nhost: ${HOST}\r\nconnection: upgrade\r\nupgrade: x\r\ntrailer: a\r\n\r\n`);
    expect(upgrade).toMatch(/^HTTP\/1\.1 /);
    const head = `POST / HTTP/1.1\r\nhost: ${HOST}\r\nexpect: 100-continue\r\ntrailer: a\r\ncontent-length: 2\r\nconnection: close\r\n\r\n`;
    expect(await raw(port, head, (answer) => answer.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 [12]00 /);
  });

  it('a head that cannot be sent on ends its request only', async () => {
    const heads = ['HTTP/1.1 099 x', 'HTTP/1.1 200 O\x01K', 'HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: x'];
    let head = '';
    house.name('web.shop', await house.serve(tcpServer((socket) => socket.once('data', () => socket.end(`${head}\r\n\r\n`, 'latin1')))));
    const port = await house.open();
    for (head of heads) {
      const asked = `POST / HTTP/1.1\r\nhost: ${HOST}\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n`;
      expect(await raw(port, asked)).toMatch(/^$|^HTTP\/1\.1 502 /);
    }
  });

  it('a service’s trailers are sent without those of its connection', async () => {
    const answer =
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nconnection: x\r\nkeep-alive: 1\r\nx-sum: 7\r\n\r\n';
    house.name('web.shop', await house.serve(answering(answer)));
    const got = await ask2(await house.open());
    expect(got.headers[':status']).toBe(200);
    expect(got.trailers).toMatchObject({ 'x-sum': '7' });
    expect(got.code).toBe(0);
  });

  it('a header that was sent twice does not reset the stream', async () => {
    const twice = ['x-content-type-options: nosniff', 'content-language: de', 'access-control-max-age: 1', 'host: x', 'dnt: 1', 'tk: N'];
    const lines = [...twice, ...twice].join('\r\n');
    house.name('web.shop', await house.serve(answering(`HTTP/1.1 200 OK\r\n${lines}\r\ncontent-length: 0\r\n\r\n`)));
    const got = await ask2(await house.open());
    expect(got.headers).toMatchObject({ ':status': 200, 'x-content-type-options': 'nosniff', 'content-language': 'de, de' });
    expect(got.code).toBe(0);
  });
});
