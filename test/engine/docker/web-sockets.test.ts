import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { HyprError } from '../../../base/errors.ts';
import type { Host } from '../../../engine/docker/machines/host.ts';
import type { LoopbackServer } from '../../../engine/docker/rest/listen.ts';
import { serveRest } from '../../../engine/docker/rest/serve-rest.ts';
import type { ReplicaDetail } from '../../../engine/model/types.ts';

const TOKEN = 'a'.repeat(64);
let server: LoopbackServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** A program that answers each line in capitals on one stream and its length on the other, and ends with its input. */
class Program {
  readonly asked: unknown[] = [];
  closed = 0;
  /** Of who asked for it. */
  signal: AbortSignal | undefined;
  /** Pieces of output that are there at once, before its end. */
  burst = 0;
  /** Milliseconds until it is there. */
  delay = 0;
  tty = false;
  takesInput = true;
  #lines: string[] = [];
  #wake = (): void => {};

  readonly session = {
    output: this.#output(),
    exitCode: Promise.resolve(7),
    write: (data: Uint8Array) =>
      this.takesInput ? Promise.resolve(this.#take(Buffer.from(data).toString())) : new Promise<void>(() => {}),
    closeStdin: () => this.#take('EOF'),
    resize: () => {},
    close: () => {
      this.closed++;
      this.#take('EOF');
    },
  };

  #take(line: string): void {
    this.#lines.push(line);
    this.#wake();
  }

  async *#output(): AsyncGenerator<{ stream: 'stdout' | 'stderr'; data: Buffer }> {
    this.signal?.addEventListener('abort', () => this.#take('EOF'));
    yield { stream: 'stdout', data: Buffer.from('begun;') };
    for (let line = 0; line < this.burst; line++) {
      yield { stream: 'stdout', data: Buffer.from(`line ${line}\n`) };
    }
    if (this.burst > 0) {
      return;
    }
    for (;;) {
      const line = this.#lines.shift();
      if (line === 'EOF' || line === 'end') {
        return;
      }
      if (line === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else {
        yield { stream: 'stdout', data: Buffer.from(line.toUpperCase()) };
        yield { stream: 'stderr', data: Buffer.from(`${line.length}`) };
      }
    }
  }
}

const serve = async (program: Program, failure?: Error): Promise<void> => {
  const detail = {
    stack: 's',
    status: { id: 'b'.repeat(64), name: 'web', service: 'web', number: 1, state: 'running' },
    spec: { process: { tty: program.tty, stdin: true } },
  } as unknown as ReplicaDetail;
  const begin = async (options: object, signal?: AbortSignal) => {
    program.asked.push(options);
    program.signal = signal;
    if (program.delay > 0) {
      await new Promise((resolve) => setTimeout(resolve, program.delay));
    }
    if (failure !== undefined) {
      throw failure;
    }
    return program.session;
  };
  const host = {
    find: () => detail,
    withStack: (_: string, use: (stack: object) => unknown) => use({ exec: begin, attach: begin }),
  } as unknown as Host;
  server = await serveRest(host, { port: 0, token: TOKEN });
};

interface Conversation {
  readonly text: string;
  readonly code: number;
  readonly reason: string;
}

/** Sends each text once the one before is answered; gives all that came, or the status with which it was refused. */
const talk = (path: string, texts: readonly string[], headers: Record<string, string> = { authorization: `Bearer ${TOKEN}` }) =>
  new Promise<Conversation | number>((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${server?.port}/api/v1${path}`, { headers });
    const left = [...texts];
    let text = '';
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      text += isBinary ? data.toString() : 'not binary';
      if (text === 'begun;' || /\d$/.test(text)) {
        socket.send(Buffer.from(left.shift() ?? 'end'));
      }
    });
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode ?? 0));
    socket.on('error', reject);
    socket.on('close', (code, reason) => resolve({ text, code, reason: reason.toString() }));
  });

describe('a program by a WebSocket', () => {
  test('has input and output while it runs, and its exit code as the reason of the end', async () => {
    const program = new Program();
    await serve(program);
    expect(await talk('/machines/web/exec?command=shout&tty=1&w=100&h=30&env=A%3D1&user=me', ['one', 'three'])).toEqual({
      text: 'begun;ONE3THREE5',
      code: 1000,
      reason: 'exit 7',
    });
    expect(program.asked).toMatchObject([
      { args: ['/bin/sh', '-c', 'shout'], tty: true, size: { columns: 100, rows: 30 }, env: ['A=1'], user: 'me' },
    ]);
    await expect.poll(() => program.closed).toBe(1);
  });

  test('is told when its client leaves', async () => {
    const program = new Program();
    await serve(program);
    const socket = new WebSocket(`ws://127.0.0.1:${server?.port}/machines/web/exec?arg=cat&arg=-u`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    await new Promise((resolve) => socket.once('message', resolve));
    socket.close();
    await expect.poll(() => program.closed).toBe(1);
    expect(program.asked).toMatchObject([{ args: ['cat', '-u'], tty: false }]);
  });

  test('is no program without a command, and none for a request that is no WebSocket', async () => {
    const program = new Program();
    await serve(program);
    expect(await talk('/machines/web/exec', [])).toBe(400);
    const plain = await fetch(`http://127.0.0.1:${server?.port}/machines/web/attach?stream=1&stdout=1`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    expect([plain.status, await plain.text()]).toEqual([400, expect.stringContaining('Upgrade: websocket')]);
  });
});

test('a program that does not start is the reason of the end', async () => {
  const program = new Program();
  await serve(program, new HyprError('GUEST_EXEC', `no such program: ${'ü'.repeat(100)}`));
  const answer = await talk('/machines/web/exec?arg=nonsense', []);
  expect(answer).toMatchObject({ code: 1011, text: '', reason: expect.stringMatching(/^no such program: ü+$/) });
});

test('attach by a WebSocket has both streams as they are, and sends input', async () => {
  const program = new Program();
  await serve(program);
  expect(await talk('/machines/web/attach?stream=1&stdin=1&stdout=1&stderr=1', ['in'])).toEqual({
    text: 'begun;IN2',
    code: 1000,
    reason: '',
  });
});

test.each([
  ['without a token', {}, 401],
  ['with a wrong token', { authorization: `Bearer ${'b'.repeat(64)}` }, 401],
  ['of a web page', { authorization: `Bearer ${TOKEN}`, origin: 'https://page.example' }, 403],
  ['by a name that was made to point here', { authorization: `Bearer ${TOKEN}`, host: 'rebound.example' }, 403],
])('a WebSocket %s is refused, and nothing starts', async (_, headers, status) => {
  const program = new Program();
  await serve(program);
  expect(await talk('/machines/web/exec?command=id', [], headers as Record<string, string>)).toBe(status);
  expect(program.asked).toEqual([]);
});

test.each(['exec?command=lines', 'attach?stream=1&stdout=1'])('all output is there before the end › %s', async (path) => {
  const program = new Program();
  program.burst = 200;
  await serve(program);
  const { text, code } = (await talk(`/machines/web/${path}`, [])) as Conversation;
  expect(text).toBe(`begun;${Array.from({ length: 200 }, (_, line) => `line ${line}\n`).join('')}`);
  expect(code).toBe(1000);
});

test('detach keys end an attach as they should', async () => {
  const program = new Program();
  program.tty = true;
  await serve(program);
  expect(await talk('/machines/web/attach?stream=1&stdin=1&stdout=1&stderr=1', ['in', '\x10\x11'])).toEqual({
    text: 'begun;IN2',
    code: 1000,
    reason: '',
  });
  expect(program.closed).toBeGreaterThan(0);
});

describe('a program that does not read its input', () => {
  const flood = async (program: Program, messages: number): Promise<WebSocket> => {
    program.takesInput = false;
    await serve(program);
    const socket = new WebSocket(`ws://127.0.0.1:${server?.port}/machines/web/exec?command=sleep`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    socket.on('error', () => {});
    await once(socket, 'message');
    for (let message = 0; message < messages; message++) {
      socket.send(Buffer.alloc(1 << 20));
    }
    return socket;
  };

  test('ends when its client leaves', async () => {
    const program = new Program();
    const socket = await flood(program, 4);
    socket.close();
    await expect.poll(() => program.closed).toBe(1);
  });

  test('ends when too much is kept for it for long', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const program = new Program();
      const socket = await flood(program, 24);
      const closed = once(socket, 'close');
      await vi.waitUntil(() => vi.getTimerCount() > 0);
      await vi.advanceTimersByTimeAsync(60_000);
      expect((await closed)[0]).toBe(1009);
      vi.useRealTimers();
      await expect.poll(() => program.closed).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  });
});

test.each([
  ['whose handshake is wrong is told so, and nothing stays open', 'Sec-WebSocket-Version: 1\r\n', false, /^HTTP\/1\.1 4\d\d /],
  ['whose client ends its side before the handshake leaves nothing open', 'Sec-WebSocket-Version: 13\r\n', true, /^/],
])('a WebSocket %s', async (_, header, ends, answered) => {
  const program = new Program();
  program.delay = 100;
  await serve(program);
  const client = connect(server?.port ?? 0, '127.0.0.1').on('error', () => {});
  const head = `GET /api/v1/machines/web/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\n`;
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  client.write(`${head}${upgrade}${header}\r\n`);
  if (ends) {
    client.end();
  }
  let text = '';
  client.on('data', (data) => {
    text += data;
  });
  await once(client, 'close');
  expect(text).toMatch(answered);
  await expect.poll(() => program.closed).toBeGreaterThan(0);
});

test('a message larger than 4 MiB ends the WebSocket', async () => {
  const program = new Program();
  await serve(program);
  const socket = new WebSocket(`ws://127.0.0.1:${server?.port}/machines/web/exec?command=cat`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('message', resolve));
  socket.send(Buffer.alloc((4 << 20) + 1));
  expect(await new Promise((resolve) => socket.once('close', resolve))).toBe(1009);
  await expect.poll(() => program.closed).toBe(1);
});
