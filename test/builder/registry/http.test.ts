import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type Http, openHttp } from '../../../builder/registry/transport/http.ts';

const servers: Server[] = [];
let http: Http | undefined;
afterEach(async () => {
  await http?.[Symbol.asyncDispose]();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const serve = async (listener: RequestListener): Promise<string> => {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};
const get = async (url: string, signal = new AbortController().signal) => {
  http = openHttp({ backoff: 1, env: {} });
  const response = await http.send({ url, headers: { authorization: 'Bearer secret' }, signal });
  return { status: response.statusCode, text: await response.body.text() };
};

test('credentials follow a redirect on the same host, not to another', async () => {
  const seen: Array<string | undefined> = [];
  const storage = await serve(({ headers }, response) => {
    seen.push(headers.authorization);
    response.end('blob');
  });
  const registry = await serve(({ url, headers }, response) => {
    seen.push(headers.authorization);
    response.writeHead(307, { location: url === '/a' ? '/b' : `${storage}/c` }).end();
  });
  expect(await get(`${registry}/a`)).toEqual({ status: 200, text: 'blob' });
  expect(seen).toEqual(['Bearer secret', 'Bearer secret', undefined]);
});

test('redirects in circles and to other schemes are refused', async () => {
  const circle = await serve((_, response) => response.writeHead(302, { location: '/' }).end());
  await expect(get(circle)).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
  const local = await serve((_, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end());
  await expect(get(local)).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
});

test('a server that stays broken is asked five times, and its answer given', async () => {
  let count = 0;
  const url = await serve((_, response) => {
    count += 1;
    response.writeHead(503).end('down');
  });
  expect((await get(url)).status).toBe(503);
  expect(count).toBe(5);
});

test('nobody there: at once, with the host and what to check', async () => {
  const url = await serve(() => {});
  servers[0]?.close();
  await expect(get(url)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE', message: expect.stringContaining(new URL(url).host) });
});

test('aborting ends the wait between tries', async () => {
  const controller = new AbortController();
  const url = await serve((_, response) => {
    response.writeHead(429, { 'retry-after': '60' }).end();
    setImmediate(() => controller.abort(new Error('enough')));
  });
  await expect(get(url, controller.signal)).rejects.toThrow('enough');
});
