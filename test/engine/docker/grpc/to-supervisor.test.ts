import net from 'node:net';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { expect, onTestFinished, test } from 'vitest';
import { AsyncQueue } from '../../../../base/queue.ts';
import { type ExecInputSchema, Supervisor } from '../../../../engine/api/gen/hypr_pb.ts';
import { apiMethods } from '../../../../engine/api/server/handlers.ts';
import { serveApi } from '../../../../engine/api/server/server.ts';
import { serveGrpc } from '../../../../engine/docker/grpc/serve-grpc.ts';
import { Cue } from '../../support/cue.ts';
import type { FakeProcess } from '../../support/fake-guest.ts';
import { openTestStack, shopOf, type TestStack } from '../../support/stack.ts';

const TOKEN = 'e'.repeat(64);

/** A supervisor's own server on a unix socket, with the fake machines of unit tests, and the port in front of it. */
const serve = async (names: readonly string[] = ['shop']) => {
  const stack = openTestStack();
  const socket = join(stack.dir, 'api.sock');
  const api = await serveApi(socket, apiMethods(stack.supervisor, { version: '1', stack: 'shop', recovered: [] }), () => {});
  const open = new Set<net.Socket>();
  const supervisors = {
    names: () => names,
    reach: async () => {
      const connection = net.connect(socket);
      open.add(connection.once('close', () => open.delete(connection)));
      return connection;
    },
  };
  const port = await serveGrpc({}, { port: 0, token: TOKEN }, supervisors);
  onTestFinished(async () => {
    await port.close();
    await api.close();
  });
  const clientOf = (metadata: Record<string, string>) =>
    createClient(
      Supervisor,
      createGrpcTransport({
        baseUrl: `http://127.0.0.1:${port.port}`,
        interceptors: [
          (next) => (request) => {
            for (const [key, value] of Object.entries({ authorization: `Bearer ${TOKEN}`, ...metadata })) {
              request.header.set(key, value);
            }
            return next(request);
          },
        ],
      }),
    );
  return { stack, api, open, clientOf, client: clientOf({}) };
};

const start = (stack: TestStack): Promise<void> => stack.up(shopOf(stack, { web: {} }));

test('a call and one that streams are handed on, and their ends leave no connection', async () => {
  const { stack, client, open } = await serve();
  await start(stack);
  expect((await client.ps({})).replicas.map(({ name }) => name)).toEqual(['shop-web-1']);
  const events: unknown[] = [];
  for await (const { event } of client.down({})) {
    events.push(event.case);
  }
  expect(events).toContain('progress');
  expect(events.at(-1)).toBe('finished');
  expect((await client.ps({})).replicas).toEqual([]);
  await expect.poll(() => open.size).toBe(0);
});

test('what fails there has its words and its details here', async () => {
  const { stack, client } = await serve();
  await start(stack);
  await expect(client.wait({ services: ['nope'] })).rejects.toMatchObject({
    rawMessage: 'no containers for project "shop"',
    details: [expect.anything()],
  });
});

test('who goes away ends the call, and a supervisor that ends is said', async () => {
  const { stack, api, client, open } = await serve();
  await start(stack);
  const leaving = new AbortController();
  const events = client.events({}, { signal: leaving.signal })[Symbol.asyncIterator]();
  await events.next();
  expect(open.size).toBe(1);
  leaving.abort();
  await expect(events.next()).rejects.toMatchObject({ code: Code.Canceled });
  await expect.poll(() => open.size).toBe(0);

  const others = client.events({})[Symbol.asyncIterator]();
  await others.next();
  await api.close();
  await expect(
    (async () => {
      for (;;) {
        await others.next();
      }
    })(),
  ).rejects.toMatchObject({ code: Code.Unavailable, message: expect.stringContaining('the supervisor has ended') });
});

test('the stack is named where there are several, and has to be there', async () => {
  const { stack, clientOf } = await serve(['shop', 'blog']);
  await start(stack);
  await expect(clientOf({}).ps({})).rejects.toMatchObject({ code: Code.InvalidArgument, message: expect.stringContaining('hypr-stack') });
  await expect(clientOf({ 'hypr-stack': 'shpo' }).ps({})).rejects.toMatchObject({ code: Code.NotFound });
  expect((await clientOf({ 'hypr-stack': 'shop' }).ps({})).replicas).toHaveLength(1);
});

test('without the token nothing reaches a supervisor', async () => {
  const { clientOf, open } = await serve();
  await expect(clientOf({ authorization: '' }).ps({})).rejects.toMatchObject({ code: Code.Unauthenticated });
  expect(open.size).toBe(0);
});

test('a program has its input, its output and its exit code', async () => {
  const { stack, client, open } = await serve();
  const ended = new Cue<FakeProcess>();
  stack.platform.behave('web', { spawn: (_spec, process) => ended.resolve(process) });
  await start(stack);
  const inputs = new AsyncQueue<MessageInitShape<typeof ExecInputSchema>>();
  void inputs.push({ input: { case: 'start', value: { service: 'web', args: ['true'] } } });
  const outputs: unknown[] = [];
  for await (const { output } of client.exec(inputs)) {
    outputs.push(output);
    (await ended.promise).end({ code: 3, oomKilled: false });
  }
  inputs.end();
  expect(outputs).toEqual([
    { case: 'started', value: 200 },
    { case: 'exitCode', value: 3 },
  ]);
  await expect.poll(() => open.size).toBe(0);
});
