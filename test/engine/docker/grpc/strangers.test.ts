import http2 from 'node:http2';
import net from 'node:net';
import { Code } from '@connectrpc/connect';
import { expect, onTestFinished, test } from 'vitest';
import { serveGrpc } from '../../../../engine/docker/grpc/serve-grpc.ts';
import type { Supervisors } from '../../../../engine/docker/grpc/to-supervisor.ts';
import type { Routes } from '../../../../engine/docker/http/router.ts';

const TOKEN = 'f'.repeat(64);
const MOST = 64;
const routes: Routes = { 'GET /machines': ({ reply }) => reply.json([]) };
const nowhere: Supervisors = { names: () => ['shop'], reach: () => expect.unreachable() };

const serve = async (strangerMs = 60_000) => {
  const server = await serveGrpc(routes, { port: 0, token: TOKEN, strangerMs }, nowhere);
  onTestFinished(() => server.close());
  return server.port;
};

/** A connection that says it speaks HTTP/2, and nothing more. */
const hold = (port: number): Promise<net.Socket> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1').once('error', reject);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    socket.once('data', () => resolve(socket.off('error', reject).on('error', () => {})));
    onTestFinished(() => void socket.destroy());
  });

const open = (port: number): http2.ClientHttp2Session => {
  const session = http2.connect(`http://127.0.0.1:${port}`).on('error', () => {});
  onTestFinished(() => session.destroy());
  return session;
};

/** The head of a call's answer; `body` undefined: its client never ends what it sends. */
const call = (session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: Buffer) => {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/hypr.v1.Home/ListVms',
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: `Bearer ${TOKEN}`,
    ...headers,
  });
  const closed = new Promise<void>((resolve) => stream.once('close', resolve));
  const head = new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
    stream.once('response', resolve).once('error', reject);
  });
  stream.resume();
  if (body !== undefined) {
    stream.end(body);
  }
  return { stream, head, closed };
};
const EMPTY = Buffer.alloc(5);
const granted = async (session: http2.ClientHttp2Session): Promise<unknown> => {
  const { stream, closed } = call(session, {}, EMPTY);
  let status: unknown;
  stream.once('trailers', (trailers) => {
    status = trailers['grpc-status'];
  });
  await closed;
  return status;
};

test('a call without the token that never ends what it sends is over with its answer', async () => {
  const session = open(await serve());
  const { stream, head, closed } = call(session, { authorization: 'Bearer no' });
  stream.write(EMPTY);
  expect((await head)['grpc-status']).toBe(String(Code.Unauthenticated));
  await closed;
  expect(session.destroyed).toBe(false);
});

test('a connection that shows no token is cut after its time, one that did goes on', async () => {
  const port = await serve(300);
  const known = open(port);
  expect(await granted(known)).toBe('0');
  const silent = await hold(port);
  const refused = open(port);
  await call(refused, { authorization: 'Bearer no' }).head;
  await Promise.all([silent, refused].map((each) => new Promise<void>((resolve) => each.once('close', resolve))));
  expect(await granted(known)).toBe('0');
});

test('connections that are held without the token shut nobody out', async () => {
  const port = await serve();
  const known = open(port);
  expect(await granted(known)).toBe('0');
  const held = await Promise.all(Array.from({ length: MOST }, () => hold(port)));
  expect(await granted(open(port))).toBe('0');
  expect(await granted(known)).toBe('0');
  await expect.poll(() => held.filter(({ destroyed }) => destroyed).length).toBeGreaterThan(0);
});

test('connections with the token are not cut for others', async () => {
  const port = await serve();
  const known = Array.from({ length: MOST }, () => open(port));
  expect(new Set(await Promise.all(known.map(granted)))).toEqual(new Set(['0']));
  const late = open(port);
  await new Promise<void>((resolve) => late.once('close', resolve));
  expect(new Set(await Promise.all(known.map(granted)))).toEqual(new Set(['0']));
});

test.each(['../shop', '/etc/passwd', 'shop/../other', '.', '..', 'Shop', 'shop%00', 'somebody-elses'])(
  'the metadata hypr-stack: %s reaches no socket',
  async (name) => {
    const { head } = call(open(await serve()), { ':path': '/hypr.v1.Supervisor/Ps', 'hypr-stack': name }, EMPTY);
    expect((await head)['grpc-status']).toBe(String(Code.NotFound));
  },
);

test.each<[string, Buffer]>([
  ['says it has 4 GiB', Buffer.from([0, 255, 255, 255, 255])],
  ['is compressed by nothing', Buffer.from([1, 0, 0, 0, 1, 0])],
  ['is no protobuf', Buffer.from([0, 0, 0, 0, 2, 255, 255])],
  ['is nothing', Buffer.alloc(0)],
])('a message that %s ends its call alone', async (_, bytes) => {
  const session = open(await serve());
  const { stream, closed } = call(session, {}, bytes);
  const seen: unknown[] = [];
  stream.once('response', (head) => seen.push(head['grpc-status'])).once('trailers', (head) => seen.push(head['grpc-status']));
  stream.on('error', () => {});
  await closed;
  expect(seen).not.toContain('0');
  expect(await granted(session)).toBe('0');
});

test('heads larger than 16 KiB end their call or their connection', async () => {
  const port = await serve();
  const session = open(port);
  const { stream, closed } = call(session, { 'x-much': 'x'.repeat(40_000) }, EMPTY);
  stream.on('error', () => {});
  await closed;
  expect(await granted(open(port))).toBe('0');
});
