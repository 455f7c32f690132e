import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { makeRouter } from '../../../engine/docker/http/router.ts';
import { type ConnectionServer, serveConnections } from '../../../engine/docker/http/serve-connections.ts';

const LIMIT_MS = 150;

let quick = 0;
let slow = 0;

const find = makeRouter({
  'GET /quick': ({ reply }) => {
    quick++;
    reply.json({});
  },
  'POST /told': async ({ body, reply }) => reply.json(await body.json()),
  'GET /slow': async ({ reply }) => {
    slow++;
    const sink = reply.stream('text/plain');
    for (let line = 0; line < 4; line++) {
      await sleep(LIMIT_MS / 2);
      await sink.write(`${line}\n`);
    }
    sink.end();
  },
  'GET /echo': async ({ reply }) => {
    const { input, ...sink } = reply.hijack('x');
    for await (const part of input as AsyncIterable<Buffer>) {
      await sink.write(part);
    }
    sink.end();
  },
  'GET /flood': async ({ reply }) => {
    const sink = reply.stream('text/plain');
    for (let piece = 0; piece < 40; piece++) {
      void sink.write(Buffer.alloc(1 << 20));
    }
    sink.end();
  },
});

let served: ConnectionServer | undefined;
let counts: number[] = [];

afterEach(async () => {
  await served?.close();
  served = undefined;
  counts = [];
  [quick, slow] = [0, 0];
});

/** A connection as a program in a machine makes it: no socket of this host. */
const dial = (): Duplex => {
  served ??= serveConnections(find, (count) => counts.push(count), { requestMs: LIMIT_MS });
  const [near, far] = duplexPair();
  near.on('error', () => {});
  served.server.emit('connection', far);
  return near;
};

const begin = (request: string): Promise<string> => {
  const connection = dial();
  connection.write(request);
  return text(connection).catch(() => 'cut');
};

test('a request whose head or body does not come ends the connection', async () => {
  expect(await begin('GET /quick HTTP/1.1\r\nHost: x\r\n')).not.toContain('200 OK');
  expect(await begin('POST /told HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{')).not.toContain('200 OK');
  expect(await begin('')).toBe('');
  expect(counts.at(-1)).toBe(0);
});

test('a connection that was taken over ends with its program, whatever its client does', async () => {
  served = serveConnections(find, (count) => counts.push(count));
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const connection = dial();
    connection.write('GET /slow-not HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    connection.resume();
    await once(connection, 'end');
    expect(counts).toEqual([1]);
    await vi.advanceTimersByTimeAsync(10_000);
    await vi.waitUntil(() => counts.at(-1) === 0);
  } finally {
    vi.useRealTimers();
  }
});

test('the end of an empty body in chunks is no data of a connection that is taken over', async () => {
  const connection = dial();
  connection.write(
    'GET /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n0\r\n\r\nPRI',
  );
  connection.end();
  expect((await text(connection)).split('\r\n\r\n')[1]).toBe('PRI');
});

test('an answer may take longer, and a connection may be used again', async () => {
  expect(await begin('GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toMatch(/200 OK[\s\S]*0\n[\s\S]*3\n/);
  const connection = dial();
  const all = text(connection).catch(() => 'cut');
  for (let turn = 0; turn < 4; turn++) {
    connection.write('POST /told HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}');
    await sleep(LIMIT_MS / 2);
  }
  expect((await all).match(/200 OK/g)).toHaveLength(4);
});

test('a body that is too large is refused', async () => {
  const body = ' '.repeat(5 << 20);
  expect(await begin(`POST /told HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`)).toContain(
    '413',
  );
});

test('requests that do not wait for the answer to the last one end the connection', async () => {
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  expect(await begin(request('/slow').repeat(50))).not.toContain('3\n');
  expect(slow).toBe(1);
  await begin(request('/quick').repeat(50));
  expect(quick).toBeLessThanOrEqual(2);
  expect(counts.at(-1)).toBe(0);
});

test('a client that sends the next request as soon as it has an answer gets all', async () => {
  const connection = dial();
  const request = 'GET /quick HTTP/1.1\r\nHost: x\r\n\r\n';
  let answers = 0;
  connection.on('data', (data: Buffer) => {
    answers += data.toString().match(/200 OK/g)?.length ?? 0;
    if (answers < 20 && data.toString().endsWith('{}\n')) {
      // A program in a machine does nothing within the same turn of this process.
      setImmediate(() => connection.write(request));
    }
  });
  connection.write(request);
  await expect.poll(() => answers, { timeout: 2_000 }).toBe(20);
  connection.destroy();
});

test('what is not read is not kept for ever', async () => {
  const connection = dial();
  connection.write('GET /flood HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(() => counts.at(-1), { timeout: 5_000 }).toBe(0);
  connection.destroy();
});
