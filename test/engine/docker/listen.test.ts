import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type HttpServer, listen } from '../../../engine/docker/http/listen.ts';
import { makeRouter, type Routes } from '../../../engine/docker/http/router.ts';

const routes: Routes = {
  'POST /echo': async ({ body, reply }) => reply.json(await body.json(), 201),
  'POST /hijack': async ({ body, reply }) => {
    const told = await body.json();
    const client = reply.hijack('application/vnd.docker.raw-stream');
    await client.write(`told ${JSON.stringify(told)};`);
    for await (const data of client.input) {
      await client.write(Buffer.from(data).toString().toUpperCase());
    }
    client.end();
  },
  'GET /breaks': async ({ reply }) => {
    await reply.stream('text/plain').write('half');
    throw new Error('a bug');
  },
  'GET /fails': () => {
    throw new Error('a bug');
  },
};

describe('the server of the Engine API', () => {
  let dir: string;
  let socket: string;
  let server: HttpServer;
  const counts: number[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hypr-listen-'));
    socket = join(dir, 'docker.sock');
    server = await listen(socket, makeRouter(routes), (count) => counts.push(count));
  });
  afterEach(async () => {
    await server.close();
    await rm(dir, { recursive: true, force: true });
  });

  const ask = (method: string, path: string, body = ''): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const request = http.request({ socketPath: socket, method, path, agent: false }, (response) => {
        let text = '';
        response.on('data', (data: Buffer) => {
          text += data;
        });
        response.once('error', reject).once('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      request.once('error', reject);
      request.end(body);
    });

  /** All that comes back for raw bytes, whose sender closes its side at the end. */
  const raw = (...parts: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const connection = connect(socket);
      let text = '';
      connection.on('data', (data: Buffer) => {
        text += data;
      });
      connection.once('error', reject).once('close', () => resolve(text));
      connection.once('connect', async () => {
        for (const part of parts) {
          await new Promise((done) => connection.write(part, done));
        }
        connection.end();
      });
    });

  test('its socket is its user’s alone, and only one serves there', async () => {
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    await expect(listen(socket, makeRouter(routes), () => {})).rejects.toMatchObject({ code: 'HYPR_LOCKED' });
    expect(await ask('POST', '/v1.41/echo', '{"a":1}')).toEqual({ status: 201, text: '{"a":1}\n' });
  });

  test('a socket that a killed process left is replaced', async () => {
    await server.close();
    const script = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    await once(spawn(process.execPath, ['-e', script, socket]), 'exit');
    expect(statSync(socket).isSocket()).toBe(true);
    server = await listen(socket, makeRouter(routes), () => {});
    expect((await ask('POST', '/echo')).text).toBe('{}\n');
  });

  test('what is no abandoned socket stays', async () => {
    const file = join(dir, 'file');
    writeFileSync(file, 'mine');
    await expect(listen(file, makeRouter(routes), () => {})).rejects.toMatchObject({ code: 'HYPR_PERMISSION' });
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  test('what fails after the head of its answer does not look whole', async () => {
    await expect(ask('GET', '/breaks')).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect((await ask('POST', '/echo', '{}')).status).toBe(201);
  });

  test.each([
    ['{', 400, /invalid JSON/],
    ['[1]', 400, /an object/],
    [`{"a":"${'x'.repeat((4 << 20) + 1)}"}`, 413, /too large/],
  ])('a body that is none is refused', async (body, status, message) => {
    const answer = await ask('POST', '/echo', body);
    expect(answer.status).toBe(status);
    expect(answer.text).toMatch(message);
  });

  test('what fails is an answer, and the server goes on', async () => {
    expect(await ask('GET', '/fails')).toEqual({ status: 500, text: '{"message":"a bug"}\n' });
    expect(await ask('GET', '//')).toMatchObject({ status: 404 });
    expect((await ask('POST', '/echo', '{}')).status).toBe(201);
  });

  const HEAD = 'POST /v1.41/hijack HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n';

  test('a connection is taken over: first its body, then what the program gets, up to the half-close', async () => {
    const text = await raw(`${HEAD}Content-Length: 7\r\n\r\n{"a"`, ':1}in', 'put');
    expect(text).toMatch(/^HTTP\/1\.1 101 UPGRADED\r\n/);
    expect(text).toMatch(/\r\nupgrade: tcp\r\n/i);
    expect(text.split('\r\n\r\n')[1]).toBe('told {"a":1};INPUT');
  });

  test('and without a body', async () => {
    expect((await raw(`${HEAD}\r\nabc`)).split('\r\n\r\n')[1]).toBe('told {};ABC');
  });

  test('one that is refused gets a status, not a 101', async () => {
    expect(await raw(`${HEAD.replace('/hijack', '/nothing')}\r\n`)).toMatch(/^HTTP\/1\.1 404 .*page not found/s);
    expect(await raw(`${HEAD}Content-Length: 99999999999\r\n\r\n`)).toBe('');
    expect(await raw(`${HEAD}Content-Length: 10\r\n\r\n{`)).toBe('');
  });
});
