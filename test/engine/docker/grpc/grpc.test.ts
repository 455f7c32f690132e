import { mkdtempSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromJson, type JsonObject, toJson } from '@bufbuild/protobuf';
import { StructSchema, type Value, ValueSchema } from '@bufbuild/protobuf/wkt';
import { Code, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HyprError } from '../../../../base/errors.ts';
import { Home } from '../../../../engine/api/gen/home_pb.ts';
import { serveGrpc } from '../../../../engine/docker/grpc/serve-grpc.ts';
import { STREAMED, UNARY } from '../../../../engine/docker/grpc/verbs.ts';
import { ApiError } from '../../../../engine/docker/http/errors.ts';
import type { Routes } from '../../../../engine/docker/http/router.ts';
import type { LoopbackServer } from '../../../../engine/docker/rest/listen.ts';
import { OPERATIONS } from '../../../../engine/docker/rest/openapi.ts';
import { removeAtExit } from '../../../support/left-over.ts';

const TOKEN = 'c'.repeat(64);
const asked: unknown[] = [];
/** Aborted when the client of a stream has gone. */
let gone: AbortSignal | undefined;
const routes: Routes = {
  'GET /machines': ({ reply }) => reply.json([{ name: 'web', started_at: undefined }]),
  'GET /machines/{id}': ({ params }) => {
    throw new ApiError(404, `No such container: ${params.id}`);
  },
  'POST /machines': async ({ body, reply }) => {
    asked.push(await body.json());
    reply.json({ id: 'abc' }, 201);
  },
  // As most do: it fails after it has waited.
  'DELETE /volumes/{name}': async ({ params }) => {
    throw new ApiError(404, `No such volume: ${params.name}`);
  },
  'POST /machines/{id}/stop': async ({ params, query, body, reply }) => {
    asked.push([params.id, query.text('t'), await body.json()]);
    reply.empty(204);
  },
  'POST /machines/{id}/wait': async ({ reply }) => {
    // As docker's: the head at once, the answer when it has ended.
    const sink = reply.stream('application/json');
    await sink.write('{"StatusCode":3}\n');
    sink.end();
  },
  'GET /machines/{id}/logs': async ({ query, reply, signal }) => {
    const sink = reply.stream('text/plain');
    await sink.write('one\n{"two":2}\n\nthree');
    if (query.bool('hold')) {
      gone = signal;
      return;
    }
    sink.end();
  },
  'DELETE /stacks/{name}': () => {
    throw new HyprError('STACK_BUSY', 'shop is busy', { hint: 'wait' });
  },
  'POST /stacks': async ({ reply }) => {
    const sink = reply.stream('application/x-ndjson');
    await sink.write('{"type":"progress"}\r\n{"type":');
    await sink.write('"finished"}\r\n');
    sink.end();
  },
  'GET /images/{name...}': ({ params, reply }) => reply.json({ name: params.name }),
  'POST /images/build': async ({ query, body, reply }) => {
    let bytes = 0;
    for await (const piece of body.bytes) {
      bytes += piece.length;
    }
    asked.push([query.text('t'), bytes > 1000]);
    reply.json({ stream: 'built' });
  },
  'GET /volumes': ({ query, reply }) => reply.json({ filters: query.text('filters') }),
  'GET /system/health': async ({ reply }) => {
    const sink = reply.stream('text/plain');
    await sink.write('OK');
    sink.end();
  },
};
let server: LoopbackServer;
const clientOf = (headers: Record<string, string>, name = '127.0.0.1') => {
  const transport = createGrpcTransport({
    baseUrl: `http://${name}:${server.port}`,
    interceptors: [
      (next) => (request) => {
        for (const [key, value] of Object.entries(headers)) {
          request.header.set(key, value);
        }
        return next(request);
      },
    ],
  });
  return createClient(Home, transport);
};
type Client = ReturnType<typeof clientOf>;
let home: Client;

beforeAll(async () => {
  server = await serveGrpc(routes, { port: 0, token: TOKEN });
  home = clientOf({ authorization: `Bearer ${TOKEN}` });
});
afterAll(() => server.close());

const of = (members: JsonObject) => fromJson(StructSchema, members);
const plain = (value: Value): unknown => toJson(ValueSchema, value);
const all = async (values: AsyncIterable<Value>): Promise<unknown[]> => {
  const read: unknown[] = [];
  for await (const value of values) {
    read.push(plain(value));
  }
  return read;
};

describe('gRPC of all stacks', () => {
  test('each verb is a route of the JSON API, and each of the service is there', () => {
    const known = OPERATIONS.map(({ route }) => route);
    for (const { route } of [...Object.values(UNARY), ...Object.values(STREAMED)]) {
      expect(known).toContain(route);
    }
    const served = [...Object.keys(UNARY), ...Object.keys(STREAMED), 'runVM', 'buildImage'];
    expect(served.sort()).toEqual(Object.keys(Home.method).sort());
    expect(served.length).toBeGreaterThanOrEqual(34);
  });

  test('objects, lists and what is text; members of paths, queries and bodies', async () => {
    expect(plain(await home.listVms(of({})))).toEqual([{ name: 'web' }]);
    expect(plain(await home.health(of({})))).toEqual({ text: 'OK' });
    expect(plain(await home.getImage(of({ name: 'registry:5000/a/b' })))).toEqual({ name: 'registry:5000/a/b' });
    expect(plain(await home.listVolumes(of({ filters: { name: ['a'] } })))).toEqual({ filters: '{"name":["a"]}' });
    expect(plain(await home.createVM(of({ image: 'nginx', vcpu_count: 2 })))).toEqual({ id: 'abc' });
    expect(asked.pop()).toEqual({ start: false, image: 'nginx', vcpu_count: 2 });
    expect(plain(await home.stopVM(of({ id: 'web', t: 3 })))).toEqual({});
    expect(asked.pop()).toEqual(['web', '3', {}]);
  });

  test('what is streamed: lines of programs as they are, objects of JSON, an archive of a folder', async () => {
    expect(await all(home.streamLogs(of({ id: 'web' })))).toEqual([
      { line: 'one' },
      { line: '{"two":2}' },
      { line: '' },
      { line: 'three' },
    ]);
    expect(await all(home.deployStack(of({ compose: '' })))).toEqual([{ type: 'progress' }, { type: 'finished' }]);
    expect(await all(home.runVM(of({ image: 'busybox' })))).toEqual([
      { id: 'abc' },
      ...['one', '{"two":2}', '', 'three'].map((line) => ({ line })),
      { exit_code: 3 },
    ]);
    expect(asked.pop()).toEqual({ start: true, image: 'busybox' });
    const folder = removeAtExit(mkdtempSync(join(tmpdir(), 'hypr-grpc-')));
    writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\n');
    expect(await all(home.buildImage(of({ directory: folder, t: 'made' })))).toEqual([{ stream: 'built' }]);
    expect(asked.pop()).toEqual(['made', true]);
  });

  test.each<[string, (client: Client) => Promise<unknown>, Code, string]>([
    ['nothing of that name', (client) => client.getVM(of({ id: 'nope' })), Code.NotFound, 'No such container: nope'],
    ['what fails later', (client) => client.deleteVolume(of({ name: 'nope' })), Code.NotFound, 'No such volume: nope'],
    ['a member that is missing', (client) => client.getVM(of({})), Code.InvalidArgument, 'id is missing'],
    ['a member of another kind', (client) => client.getVM(of({ id: 3 } as JsonObject)), Code.InvalidArgument, 'id is missing'],
    ['what is under way', (client) => client.destroyStack(of({ name: 'shop' })), Code.FailedPrecondition, 'shop is busy (wait)'],
    ['what this server has not', (client) => client.getSettings(of({})), Code.NotFound, ''],
    ['a folder that is relative', (client) => all(client.buildImage(of({ directory: 'x' }))), Code.InvalidArgument, 'absolute'],
    ['more than a message may have', (client) => client.getVM(of({ id: 'x'.repeat(5 << 20) })), Code.ResourceExhausted, ''],
  ])('%s has its code', async (_, call, code, message) => {
    await expect(call(home)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test('who goes away ends what was asked', async () => {
    const leaving = new AbortController();
    const lines = home.streamLogs(of({ id: 'web', hold: true }), { signal: leaving.signal })[Symbol.asyncIterator]();
    expect(plain((await lines.next()).value as Value)).toEqual({ line: 'one' });
    leaving.abort();
    await expect.poll(() => gone?.aborted).toBe(true);
  });

  test.each<[string, Record<string, string>, Code]>([
    ['without a token', {}, Code.Unauthenticated],
    ['with a wrong one', { authorization: `Bearer ${'d'.repeat(64)}` }, Code.Unauthenticated],
    ['of a web page', { authorization: `Bearer ${TOKEN}`, origin: 'https://page.example' }, Code.PermissionDenied],
    ['without a token, for a stack', { 'hypr-stack': 'shop' }, Code.Unauthenticated],
  ])('a call %s is refused', async (_, headers, code) => {
    await expect(clientOf(headers).listVms(of({}))).rejects.toMatchObject({ code });
  });

  test('a name that was made to point here, and what is no gRPC, are refused', async () => {
    const ask = (headers: http2.OutgoingHttpHeaders): Promise<http2.IncomingHttpHeaders> =>
      new Promise((resolve, reject) => {
        const session = http2.connect(`http://127.0.0.1:${server.port}`);
        const call = session.request({ ':method': 'POST', ':path': '/hypr.v1.Home/ListVms', authorization: `Bearer ${TOKEN}`, ...headers });
        call.once('response', (answered) => {
          resolve(answered);
          session.destroy();
        });
        call.once('error', reject).end();
      });
    expect(await ask({ ':authority': `rebound.example:${server.port}`, 'content-type': 'application/grpc' })).toMatchObject({
      'grpc-status': String(Code.PermissionDenied),
    });
    expect(await ask({ 'content-type': 'application/json' })).toMatchObject({ ':status': 415 });
  });
});
