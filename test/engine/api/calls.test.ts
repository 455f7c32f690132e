import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AsyncQueue } from '../../../base/queue.ts';
import { CallError, fromCallError } from '../../../engine/api/call-error.ts';
import { connectApi } from '../../../engine/api/client/client.ts';
import { Cue } from '../support/cue.ts';

/** A server that answers each request head with what `answer` says, and what it was sent. */
const serve = async (answer: (connection: net.Socket, request: string) => void, lastWords?: () => readonly string[]) => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-calls-'));
  const socket = join(dir, 's');
  const connections: net.Socket[] = [];
  const server = net.createServer((connection) => {
    connections.push(connection);
    connection.on('error', () => {});
    connection.on('data', (data) => answer(connection, data.toString('latin1')));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const api = connectApi(socket, lastWords);
  onTestFinished(() => {
    api.close();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return { api, connections };
};

const head = (type: string, ...lines: readonly string[]) =>
  `HTTP/1.1 200 OK\r\nContent-Type: application/${type}\r\n${lines.join('\r\n')}\r\n\r\n`;
const whole = (body: Buffer) => Buffer.concat([Buffer.from(head('json', `Content-Length: ${body.length}`)), body]);
const envelope = (flags: number, message: Buffer) => {
  const start = Buffer.alloc(5);
  start[0] = flags;
  start.writeUInt32BE(message.length, 1);
  return Buffer.concat([start, message]);
};
const chunk = (bytes: Buffer) => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
const streamHead = Buffer.from(head('connect+json', 'Transfer-Encoding: chunked'));
const lastChunk = Buffer.from('0\r\n\r\n');
const json = (message: object) => Buffer.from(JSON.stringify(message));
const line = (text: string) => json({ time: 1, replica: 'r', service: 's', line: text });

const linesOf = async (records: AsyncIterable<{ line?: string }>): Promise<string[]> => {
  const seen: string[] = [];
  for await (const { line = '' } of records) {
    seen.push(line);
  }
  return seen;
};
const failure = (work: Promise<unknown>) => work.catch((error) => fromCallError(error));

describe('an answer', () => {
  test('is understood however it is cut', async () => {
    const body = Buffer.concat([envelope(0, line('one')), envelope(0, line('two')), envelope(2, Buffer.from('{}'))]);
    const chunks = [body.subarray(0, 3), body.subarray(3, 40), body.subarray(40)].map(chunk);
    const text = Buffer.concat([streamHead, ...chunks, lastChunk]);
    let size = text.length;
    const { api } = await serve(async (connection) => {
      for (let at = 0; at < text.length; at += size) {
        await new Promise<void>((resolve) => connection.write(text.subarray(at, at + size), () => resolve()));
      }
    });
    for (size of [text.length, 7, 1]) {
      expect(await linesOf(api.rpc.logs({ services: [] }))).toEqual(['one', 'two']);
    }
  });

  test('leaves its connection for the next call; two at once have two', async () => {
    const { api, connections } = await serve((connection) => connection.write(whole(json({ replicas: [{ name: 'a' }] }))));
    await api.rpc.ps({});
    expect(await api.rpc.ps({})).toEqual({ replicas: [{ name: 'a' }] });
    expect(connections.length).toBe(1);
    await Promise.all([api.rpc.ps({}), api.rpc.ps({})]);
    expect(connections.length).toBe(2);
  });

  test('of many megabytes waits for who reads it', async () => {
    const data = Buffer.alloc(1 << 20, 'x');
    const message = chunk(envelope(0, Buffer.concat([Buffer.from([1]), data])));
    let written = 0;
    const { api } = await serve(async (connection) => {
      connection.removeAllListeners('data').resume();
      connection.write(streamHead);
      for (; written < 24; written += 1) {
        if (!connection.write(message)) {
          await new Promise((resolve) => connection.once('drain', resolve));
        }
      }
      connection.write(Buffer.concat([chunk(envelope(2, Buffer.from('{}'))), lastChunk]));
    });
    const inputs = new AsyncQueue<never>();
    let size = 0;
    let ahead = 0;
    for await (const { stdout } of api.rpc.exec(inputs)) {
      size += stdout?.length ?? 0;
      ahead = Math.max(ahead, written - size / data.length);
      await new Promise((resolve) => setImmediate(resolve));
    }
    inputs.end();
    expect(size).toBe(24 * data.length);
    expect(ahead).toBeLessThan(6);
  });
});

describe('a call that fails', () => {
  test.each([
    [
      'in its last envelope',
      [streamHead, chunk(envelope(2, Buffer.from('{"error":{"code":"internal","message":"no"}}'))), lastChunk],
      'SUPERVISOR_FAILED',
      /^no$/,
    ],
    [
      'without one',
      [streamHead, chunk(envelope(0, line('one'))), lastChunk],
      'SUPERVISOR_GONE',
      /was killed, or told to end, .*\(the answer is cut off\)/,
    ],
    ['with a status', [Buffer.from('HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno')], 'SUPERVISOR_GONE', /\(HTTP 503\)/],
    ['in what is no HTTP', [Buffer.from('SSH-2.0\r\n')], 'SUPERVISOR_FAILED', /^an answer that is not HTTP$/],
    [
      'in what is no message',
      [streamHead, chunk(envelope(0, Buffer.from('{"line":')))],
      'SUPERVISOR_FAILED',
      /^an answer that is no message$/,
    ],
    ['in a chunk', [streamHead, Buffer.from('zz\r\n')], 'SUPERVISOR_FAILED', /^a chunk without a size$/],
  ])('%s says why', async (_, answer, code, message) => {
    const { api } = await serve((connection) => connection.write(Buffer.concat(answer)));
    expect(await failure(linesOf(api.rpc.logs({ services: [] })))).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test.each([
    ['was killed', [], 'SUPERVISOR_GONE'],
    ['failed, whose last words are told', ['Error: no such table', '    at open (store.ts:1:1)'], 'SUPERVISOR_FAILED'],
  ] as const)('is cut off by a supervisor that %s', async (_, words, code) => {
    const { api } = await serve(
      (connection) => connection.destroy(),
      () => words,
    );
    expect(await failure(linesOf(api.rpc.logs({ services: [] })))).toMatchObject({
      code,
      details: words,
      hint: 'run the command again: it takes over what still runs',
    });
  });

  test('because the connection breaks, in the middle and between', async () => {
    const { api, connections } = await serve((connection) =>
      connection.write(Buffer.concat([streamHead, chunk(envelope(0, line('one')))])),
    );
    const records = api.rpc.logs({ services: [] })[Symbol.asyncIterator]();
    expect((await records.next()).value).toMatchObject({ line: 'one' });
    connections[0]?.destroy();
    expect(await failure(records.next())).toMatchObject({ code: 'SUPERVISOR_GONE' });
    expect((await api.rpc.logs({ services: [] })[Symbol.asyncIterator]().next()).value).toMatchObject({ line: 'one' });
    expect(connections.length).toBe(2);
  });

  test('because nobody answers in time, or nobody is there', async () => {
    const { api } = await serve(() => {});
    await expect(api.rpc.info({}, { timeoutMs: 1 })).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const nobody = connectApi('/nonexistent/socket');
    await expect(nobody.rpc.info({})).rejects.toBeInstanceOf(CallError);
  });

  test('because its own input does', async () => {
    let sent = '';
    const { api } = await serve((connection, text) => {
      sent += text;
      asked.resolve();
      connection.once('close', () => closed.resolve());
    });
    const [asked, closed] = [new Cue(), new Cue()];
    const inputs = async function* (): AsyncGenerator<never> {
      yield* [];
      await asked.promise;
      throw new Error('the disk is gone');
    };
    await expect(api.rpc.copyTo(inputs())).rejects.toMatchObject({ message: 'the disk is gone' });
    // Half a body must not look like a whole one.
    await closed.promise;
    expect(sent).toMatch(/chunked\r\n\r\n$/);
  });

  test('is not started when it was cancelled before', async () => {
    const { api, connections } = await serve(() => {});
    const signal = AbortSignal.abort();
    await expect(api.rpc.info({}, { signal })).rejects.toMatchObject({ code: 'canceled' });
    expect(fromCallError(new CallError('canceled', ''), signal)).toMatchObject({ code: 'HYPR_CANCELLED' });
    expect(connections).toEqual([]);
  });
});
