import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { GvproxyApi, parseExposes } from '../../net/gvproxy-api.ts';
import { openNic, openTunnel } from '../../net/streams.ts';
import { runs } from '../support/seed.ts';
import { makeFolder } from './helpers.ts';

// Stands for a gvproxy that went wrong.
let folder: ReturnType<typeof makeFolder>;
let server: Server;
let path: string;
let behave: (socket: Socket) => void;
let sockets: Socket[] = [];

beforeEach(async () => {
  folder = makeFolder();
  path = join(folder.path, 's');
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('data', () => behave(socket));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});
afterEach(async () => {
  for (const socket of sockets) {
    socket.destroy();
  }
  sockets = [];
  await new Promise((resolve) => server.close(resolve));
  folder.remove();
});

it('reads no more of an answer than its limit', async () => {
  behave = (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = `100000\r\n${'x'.repeat(0x100000)}\r\n`;
    const more = (): void => {
      while (!socket.destroyed && socket.write(chunk)) {}
      socket.once('drain', more);
    };
    more();
  };
  const api = new GvproxyApi(path);
  const answer = await api.get('/services/forwarder/all');
  expect(answer).toMatchObject({ status: 200, truncated: true });
  expect(answer.body).toHaveLength(8 * 1024 * 1024);
  expect(() => parseExposes(answer)).toThrow(expect.objectContaining({ code: 'NET_START' }));
  api.close();
});

it('settles on every kind of answer', async () => {
  const answers = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.string({ maxLength: 80 }).map((body) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length + 3}\r\n\r\n${body}`),
    fc.constantFrom('', 'OK', 'OKOK', 'O', 'NO', 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', '\r\n\r\n'),
  );
  const api = new GvproxyApi(path);
  await fc.assert(
    fc.asyncProperty(answers, async (text) => {
      behave = (socket) => socket.end(Buffer.from(text, 'latin1'));
      const results = await Promise.allSettled([api.get('/stats'), openTunnel(path, '10.0.0.3', 80), openNic(path)]);
      for (const result of results.slice(1)) {
        if (result.status === 'fulfilled') {
          (result.value as Socket).destroy();
        }
      }
      expect(results[1]?.status).toBe(text.startsWith('OK') ? 'fulfilled' : 'rejected');
    }),
    runs(60),
  );
  api.close();
});

it('keeps what a tunnel sends right behind its OK', async () => {
  behave = (socket) => socket.end('OKhello');
  const socket = await openTunnel(path, '10.0.0.3', 80);
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
  }
  expect(text).toBe('hello');
});

it('can be cancelled while nothing answers', async () => {
  behave = () => controller.abort(new Error('enough'));
  let controller = new AbortController();
  await expect(openNic(path, controller.signal)).rejects.toThrow('enough');
  controller = new AbortController();
  await expect(openTunnel(path, '10.0.0.3', 80, controller.signal)).rejects.toThrow('enough');
  controller = new AbortController();
  const api = new GvproxyApi(path);
  await expect(api.get('/stats', controller.signal)).rejects.toThrow('enough');
  api.close();
});

it('leaves every byte after the handover to whoever inherits the socket', async () => {
  let requests = '';
  behave = (socket) => {
    requests += 'HEAD ';
    socket.on('data', (data) => {
      requests += String(data).split('\r\n')[0];
      socket.write('frames for the machine');
    });
    socket.write('HTTP/1.1 404 Not Found\r\n\r\n');
  };
  const socket = await openNic(path);
  expect(requests).toBe('HEAD POST /connect HTTP/1.1');
  expect(socket.bytesRead).toBe('HTTP/1.1 404 Not Found\r\n\r\n'.length);
  socket.destroy();
});
