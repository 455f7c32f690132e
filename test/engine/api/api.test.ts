import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { AsyncQueue } from '../../../base/queue.ts';
import type { Project } from '../../../compose/model/model.ts';
import { fromCallError } from '../../../engine/api/call-error.ts';
import { type ApiClient, connectApi, type ExecInput } from '../../../engine/api/client/client.ts';
import { type ExecInputSchema, ReplicaState, Supervisor } from '../../../engine/api/gen/hypr_pb.ts';
import { eventFrom } from '../../../engine/api/messages/events.ts';
import { replicaFrom } from '../../../engine/api/messages/replicas.ts';
import { upJson } from '../../../engine/api/messages/requests.ts';
import { apiMethods } from '../../../engine/api/server/handlers.ts';
import { type ApiServer, type Leaving, serveApi } from '../../../engine/api/server/server.ts';
import { openAttach } from '../../../engine/client/sessions.ts';
import type { EngineEvent } from '../../../engine/model/events.ts';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { API_VERSION } from '../../../engine/model/version.ts';
import { collectMetrics, METRICS_TYPE } from '../../../engine/stack/metrics.ts';
import { Cue } from '../support/cue.ts';
import type { FakeProcess } from '../support/fake-guest.ts';
import { OWN_SUBSCRIBERS, openTestStack, shopOf, type TestStack, waitTurn } from '../support/stack.ts';

interface Served {
  readonly stack: TestStack;
  readonly api: ApiClient;
  readonly server: ApiServer;
  readonly socket: string;
  /** Resolves when no client is connected any more. */
  readonly left: Promise<void>;
  /** Who left, or turned out to listen only, in order. */
  readonly leaving: readonly Leaving[];
}

const CONNECT_JSON = { 'content-type': 'application/connect+json' };

const serve = async (): Promise<Served> => {
  const stack = openTestStack();
  const socket = join(stack.dir, 'api.sock');
  const left = new Cue();
  const leaving: Leaving[] = [];
  const methods = apiMethods(stack.supervisor, { version: '1', stack: 'shop', recovered: ['db was taken over'] });
  const server = await serveApi(
    socket,
    methods,
    (who) => {
      leaving.push(who);
      if (server.connections === 0) {
        left.resolve();
      }
    },
    { '/metrics': { type: METRICS_TYPE, text: () => collectMetrics(stack.supervisor, 'shop') } },
  );
  const api = connectApi(socket);
  onTestFinished(async () => {
    api.close();
    await server.close();
  });
  return { stack, api, server, socket, left: left.promise, leaving };
};

const collect = async (messages: AsyncIterable<Parameters<typeof eventFrom>[0]>): Promise<EngineEvent[]> => {
  const events: EngineEvent[] = [];
  for await (const message of messages) {
    const event = eventFrom(message);
    if (event !== undefined) {
      events.push(event);
    }
  }
  return events;
};

const upRequest = (project: Project) => upJson(project, UP_DEFAULTS);
const textOf = (event: EngineEvent) =>
  event.type === 'progress' ? `${event.progress.id} ${event.progress.text}` : event.type === 'warning' ? event.message : event.type;

class ExecInputs extends AsyncQueue<ExecInput> {
  say(input: ExecInput): void {
    void this.push(input);
  }
}

describe('operations', () => {
  test('up streams what happens and ends', async () => {
    const { stack, api } = await serve();
    const events = await collect(api.rpc.up(upRequest(shopOf(stack, { db: {} }))));
    expect(events.map(textOf)).toEqual([
      'Network shop_default Creating',
      'Network shop_default Created',
      'Container shop-db-1 Creating',
      'Container shop-db-1 Created',
      'Container shop-db-1 Starting',
      'Container shop-db-1 Started',
      'finished',
    ]);
    const { replicas = [] } = await api.rpc.ps({});
    expect(replicas.map(replicaFrom)).toMatchObject([{ name: 'shop-db-1', state: 'running' }]);
    await collect(api.rpc.verb({ verb: 'VERB_STOP' }));
    expect(stack.states()).toEqual({ 'shop-db-1': 'exited' });
    await collect(api.rpc.down({}));
    expect(stack.states()).toEqual({});
    expect(stack.supervisor.bus.subscribers).toBe(OWN_SUBSCRIBERS);
  });

  test('an error arrives with its code, hint, place and details', async () => {
    const { stack, api } = await serve();
    const told = new HyprError('VMM_START', 'größer als erlaubt', {
      hint: 'hypr doctor',
      where: { file: '/srv/compose.yaml', line: 3 },
      details: ['one', 'two\nlines'],
    });
    stack.platform.vmm.failNext('shop-db-1', told);
    const error = await collect(api.rpc.up(upRequest(shopOf(stack, { db: {} })))).catch((error) => fromCallError(error));
    expect(error).toBeInstanceOf(HyprError);
    expect((error as HyprError).toJSON()).toEqual(told.toJSON());
  });

  test('so does that of a call without a stream, and one of ours', async () => {
    const { api } = await serve();
    await expect(api.rpc.wait({}).catch((error) => Promise.reject(fromCallError(error)))).rejects.toMatchObject({
      code: 'STACK_NOT_RUNNING',
      message: 'no containers for project "shop"',
    });
    await expect(collect(api.rpc.verb({})).catch((error) => Promise.reject(fromCallError(error)))).rejects.toMatchObject({
      code: 'HYPR_USAGE',
    });
    await expect(collect(api.rpc.up({})).catch((error) => Promise.reject(fromCallError(error)))).rejects.toMatchObject({
      code: 'HYPR_USAGE',
    });
  });

  test.each(['cancels', 'vanishes'])('a client that %s during an up interrupts it', async (how) => {
    const { stack, api } = await serve();
    stack.platform.behave('db', { boot: new Promise(() => {}) });
    const controller = new AbortController();
    const up = collect(api.rpc.up(upRequest(shopOf(stack, { db: {} })), { signal: controller.signal })).catch((error) =>
      fromCallError(error, controller.signal),
    );
    await stack.until(() => stack.platform.vmm.machines.has('shop-db-1'));
    if (how === 'cancels') {
      controller.abort();
      expect(await up).toMatchObject({ code: 'HYPR_CANCELLED' });
    } else {
      api.close();
      await up;
    }
    await stack.until(() => stack.events.some((event) => event.type === 'finished'));
    expect(stack.states()).toEqual({ 'shop-db-1': 'created' });
    expect(stack.platform.vmm.machines.size).toBe(0);
    await vi.waitFor(() => expect(stack.supervisor.bus.subscribers).toBe(OWN_SUBSCRIBERS), { interval: 5 });
  });

  test('down from another client interrupts an up, which says by what', async () => {
    const { stack, api, socket } = await serve();
    stack.platform.behave('db', { boot: new Promise(() => {}) });
    const up = collect(api.rpc.up(upRequest(shopOf(stack, { db: {} })))).catch((error) => fromCallError(error));
    await stack.until(() => stack.platform.vmm.machines.has('shop-db-1'));
    const other = connectApi(socket);
    onTestFinished(() => other.close());
    await collect(other.rpc.down({}));
    expect(await up).toMatchObject({ code: 'HYPR_CANCELLED', message: 'interrupted by down' });
  });

  test('a supervisor that goes away is an error that says what to do', async () => {
    const { stack, api, server } = await serve();
    stack.platform.behave('db', { boot: new Promise(() => {}) });
    const up = collect(api.rpc.up(upRequest(shopOf(stack, { db: {} })))).catch((error) => fromCallError(error));
    await stack.until(() => stack.platform.vmm.machines.has('shop-db-1'));
    await server.close();
    expect(await up).toMatchObject({ code: 'SUPERVISOR_GONE', hint: 'run the command again: it takes over what still runs' });
  });
});

describe('exec', () => {
  const setUp = async () => {
    const served = await serve();
    const { stack } = served;
    const spawned: Array<{ args: readonly string[]; env: readonly string[]; process: FakeProcess }> = [];
    const started = new Cue<FakeProcess>();
    stack.platform.behave('web', {
      spawn: (spec, process) => {
        spawned.push({ args: spec.args, env: spec.env, process });
        started.resolve(process);
      },
    });
    await stack.up(shopOf(stack, { web: { environment: { A: '1', B: '2' } } }));
    return { ...served, spawned, started: started.promise };
  };
  const start = (more: object = {}): ExecInput => ({ start: { service: 'web', args: ['cat'], stdin: true, ...more } });

  test('bytes both ways, and the exit code', async () => {
    const { api, spawned, started, stack } = await setUp();
    const inputs = new ExecInputs();
    inputs.say(start({ env: ['B=3'] }));
    const outputs = api.rpc.exec(inputs)[Symbol.asyncIterator]();
    expect((await outputs.next()).value).toEqual({ started: 200 });
    const process = await started;
    process.print('hello\n');
    expect((await outputs.next()).value).toEqual({ stdout: Buffer.from('hello\n') });
    process.print('oops', 'stderr');
    expect((await outputs.next()).value).toHaveProperty('stderr');
    inputs.say({ stdin: Buffer.from('typed') });
    inputs.say({ resize: { columns: 100, rows: 40 } });
    inputs.say({ closeStdin: true });
    await process.inputClosed.promise;
    expect([process.input, process.sizes[0]?.columns]).toEqual([['typed'], 100]);
    process.end({ code: 7, oomKilled: false });
    expect((await outputs.next()).value).toEqual({ exitCode: 7 });
    expect((await outputs.next()).done).toBe(true);
    inputs.end();
    expect(spawned[0]?.env.filter((entry) => /^[AB]=/.test(entry))).toEqual(['A=1', 'B=3']);
    expect(stack.row('shop-web-1').state).toBe('running');
  });

  test('signals arrive though nobody reads the input any more', async () => {
    const { api, started } = await setUp();
    const inputs = new ExecInputs();
    inputs.say(start());
    const outputs = api.rpc.exec(inputs)[Symbol.asyncIterator]();
    await outputs.next();
    const process = await started;
    process.refuseInput();
    inputs.say({ stdin: Buffer.from('lost') });
    inputs.say({ signal: 2 });
    expect((await outputs.next()).value).toEqual({ exitCode: 130 });
    inputs.end();
  });

  test('a client that goes away ends the program', async () => {
    const { api, started } = await setUp();
    const inputs = new ExecInputs();
    inputs.say(start());
    const controller = new AbortController();
    const outputs = api.rpc.exec(inputs, { signal: controller.signal })[Symbol.asyncIterator]();
    await outputs.next();
    const process = await started;
    controller.abort();
    expect(await process.exited).toMatchObject({ code: 137 });
    inputs.end();
  });

  test('detached: it runs on, and its machine may end', async () => {
    const { api, started, stack } = await setUp();
    const inputs = new ExecInputs();
    inputs.say(start({ detach: true }));
    const outputs = api.rpc.exec(inputs)[Symbol.asyncIterator]();
    expect((await outputs.next()).value).toHaveProperty('started');
    expect((await outputs.next()).done).toBe(true);
    inputs.end();
    await started;
    await stack.verb('kill');
    expect(stack.row('shop-web-1').state).toBe('exited');
  });

  test('what cannot run is said', async () => {
    const { api, stack } = await setUp();
    const attempt = async (more: object) => {
      const inputs = new ExecInputs();
      inputs.say(start(more));
      const outputs = api.rpc.exec(inputs)[Symbol.asyncIterator]();
      try {
        return await outputs.next();
      } catch (error) {
        return fromCallError(error);
      } finally {
        inputs.end();
      }
    };
    expect(await attempt({ service: 'wbe' })).toMatchObject({ code: 'COMPOSE_NO_SERVICE', hint: 'the services are: web' });
    expect(await attempt({ index: 3 })).toMatchObject({ code: 'STACK_NOT_RUNNING' });
    expect(await attempt({ args: [] })).toMatchObject({ code: 'HYPR_USAGE' });
    await stack.verb('pause');
    expect(await attempt({})).toMatchObject({ code: 'STACK_NOT_RUNNING', hint: 'it is paused: hypr compose unpause' });
  });
});

test('attach › its terminal has the size that was asked for before anything else is said, though who asked leaves at once', async () => {
  const { stack, socket } = await serve();
  await stack.up(shopOf(stack, { web: { tty: true } }));
  for (const columns of [80, 132]) {
    const api = connectApi(socket);
    const session = await openAttach(api, { service: 'web', index: undefined, size: { columns, rows: 24 } });
    session.close();
    api.close();
    expect(stack.platform.guest('shop-web-1').process?.sizes.at(-1)).toEqual({ columns, rows: 24 });
  }
});

describe('streams', () => {
  test('events: first what is, then what happens; logs only when asked for', async () => {
    const { stack, api } = await serve();
    await stack.up(shopOf(stack, { web: {} }));
    const [quiet, loud] = [new AbortController(), new AbortController()];
    const take = async (logs: boolean, controller: AbortController) => {
      const seen: string[] = [];
      try {
        for await (const message of api.rpc.events({ logs, usage: false }, { signal: controller.signal })) {
          const event = eventFrom(message);
          if (event?.type === 'replica' || event?.type === 'log') {
            seen.push(event.type === 'replica' ? event.action : event.record.line);
          }
          if (seen.length === 1) {
            subscribed.resolve();
          }
          if (event?.type === 'replica' && event.action === 'pause') {
            break;
          }
        }
      } finally {
        controller.abort();
      }
      return seen;
    };
    let subscribed = new Cue();
    const both = [take(false, quiet)];
    await subscribed.promise;
    subscribed = new Cue();
    both.push(take(true, loud));
    await subscribed.promise;
    stack.platform.guest('shop-web-1').print('a line\n');
    await stack.until(() => stack.events.some((event) => event.type === 'log'));
    await stack.verb('pause');
    expect(await Promise.all(both)).toEqual([
      ['update', 'update', 'pause'],
      ['update', 'a line', 'update', 'pause'],
    ]);
    // The cancelling reaches the server over the socket.
    await vi.waitFor(() => expect(stack.supervisor.bus.subscribers).toBe(OWN_SUBSCRIBERS), { interval: 5 });
  });

  test('logs follow over a restart, and new replicas appear', async () => {
    const { stack, api } = await serve();
    const project = shopOf(stack, { web: {} });
    await stack.up(project);
    const print = (text: string, name = 'shop-web-1') => stack.platform.guest(name).print(`${text}\n`);
    print('first');
    const controller = new AbortController();
    const records = api.rpc.logs({ services: ['web'], follow: true }, { signal: controller.signal })[Symbol.asyncIterator]();
    const next = async () => {
      const { value } = await records.next();
      return value && `${value.replica} ${value.line}`;
    };
    expect(await next()).toBe('shop-web-1 first');
    await stack.verb('restart');
    print('second');
    expect(await next()).toBe('shop-web-1 second');
    await stack.up(project, { scale: { web: 2 } });
    print('third', 'shop-web-2');
    expect(await next()).toBe('shop-web-2 third');
    controller.abort();
    await expect(records.next()).rejects.toThrow();
  });

  test('logs follow until nothing of what was chosen goes on', async () => {
    const { stack, api } = await serve();
    await stack.up(shopOf(stack, { web: {}, db: {} }));
    const lines = async (...services: string[]) => {
      const seen: string[] = [];
      for await (const { line = '' } of api.rpc.logs({ services, follow: true })) {
        seen.push(line);
      }
      return seen;
    };
    const [web, all] = [lines('web'), lines()];
    await vi.waitFor(() => expect(stack.supervisor.bus.subscribers).toBe(OWN_SUBSCRIBERS + 4), { interval: 5 });
    stack.platform.guest('shop-web-1').print('last words\n');
    stack.platform.guest('shop-web-1').end(0);
    expect(await web).toEqual(['last words']);
    await stack.verb('stop');
    expect(await all).toEqual(['last words']);
    // Of what has ended, there is only the past.
    expect(await lines('web')).toEqual(['last words']);
  });

  test('wait gives the exit code of the first to end; stats what is used', async () => {
    const { stack, api } = await serve();
    await stack.up(shopOf(stack, { web: {} }));
    expect((await api.rpc.stats({})).usages).toMatchObject([{ replica: 'shop-web-1', memory: 1, pids: 7 }]);
    const waiting = api.rpc.wait({ services: ['web'] });
    await waitTurn();
    stack.platform.guest('shop-web-1').end(3);
    expect((await waiting).exitCode).toBe(3);
  });

  test('info says what was found', async () => {
    const { api } = await serve();
    expect(await api.rpc.info({})).toMatchObject({
      version: '1',
      stack: 'shop',
      recovered: ['db was taken over'],
      pid: process.pid,
      api: API_VERSION,
    });
  });
});

describe('clients that are not ours, over HTTP/2 on the same socket', () => {
  test.each([
    ['Connect', createConnectTransport],
    ['gRPC', createGrpcTransport],
  ])('%s: calls and streams both ways', async (_, createTransport) => {
    const { stack, socket } = await serve();
    const ended = new Cue<FakeProcess>();
    stack.platform.behave('web', { spawn: (_spec, process) => ended.resolve(process) });
    await stack.up(shopOf(stack, { web: {} }));
    const baseUrl = 'http://hypr';
    const sessionManager = new Http2SessionManager(baseUrl, {}, { createConnection: () => net.connect(socket) });
    onTestFinished(() => sessionManager.abort());
    const client = createClient(Supervisor, createTransport({ baseUrl, httpVersion: '2', sessionManager }));
    expect((await client.ps({})).replicas).toMatchObject([{ name: 'shop-web-1', state: ReplicaState.RUNNING }]);
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
    await expect(client.wait({ services: ['nope'] })).rejects.toMatchObject({ rawMessage: 'no containers for project "shop"' });
  });
});

describe('plain JSON over HTTP/1.1 on the same socket', () => {
  const post = (
    socket: string,
    method: string,
    body: string,
  ): Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }> =>
    new Promise((resolve, reject) => {
      const request = http.request(
        { socketPath: socket, path: `/hypr.v1.Supervisor/${method}`, method: 'POST', headers: { 'content-type': 'application/json' } },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
        },
      );
      request.on('error', reject);
      request.end(body);
    });

  test('ps answers a plain JSON client with the replicas', async () => {
    const { stack, socket } = await serve();
    await stack.up(shopOf(stack, { web: {} }));
    const answer = await post(socket, 'Ps', '{}');
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ replicas: [{ name: 'shop-web-1', state: 'REPLICA_STATE_RUNNING' }] });
  });

  test('an error has its code and text', async () => {
    const { socket } = await serve();
    const answer = await post(socket, 'Wait', '{}');
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toMatchObject({
      code: 'failed_precondition',
      message: 'no containers for project "shop"',
      details: [{ type: 'hypr.v1.Error', debug: { code: 'STACK_NOT_RUNNING' } }],
    });
    expect((await post(socket, 'Nothing', '{}')).status).toBe(404);
    expect((await post(socket, 'Ps', '{')).status).toBe(400);
  });

  test('a request that arrives byte by byte is understood', async () => {
    const { socket, server, left } = await serve();
    const connection = net.connect(socket);
    await vi.waitFor(() => expect(server.connections).toBe(1), { interval: 1 });
    const body = '{}';
    const text = `POST /hypr.v1.Supervisor/Ps HTTP/1.1\r\nhost: hypr\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    for (const byte of text) {
      await new Promise<void>((resolve) => connection.write(byte, () => resolve()));
      await waitTurn();
    }
    let answer = '';
    for await (const chunk of connection) {
      answer += String(chunk);
    }
    expect(answer).toMatch(/^HTTP\/1.1 200 OK/);
    await left;
  });

  test('who only listens is no client, neither while it is there nor when it leaves', async () => {
    const { api, stack, server, left, leaving, socket } = await serve();
    const listening = http.request({
      socketPath: socket,
      method: 'POST',
      path: `/${Supervisor.typeName}/Events?passive`,
      headers: CONNECT_JSON,
    });
    listening.on('error', () => {}).end(Buffer.from('\0\0\0\0\x02{}'));
    await left;
    expect([server.connections, leaving]).toEqual([0, ['listener']]);
    listening.destroy();
    await expect.poll(() => leaving).toEqual(['listener', 'listener']);
    await api.rpc.info({});
    api.close();
    await expect.poll(() => leaving.at(-1)).toBe('client');
    expect(stack.supervisor.isIdle).toBe(true);
  });

  test('a client that connects and says nothing is counted, and let go', async () => {
    const { socket, server, left } = await serve();
    const connection = net.connect(socket);
    await new Promise((resolve) => connection.once('connect', resolve));
    await waitTurn();
    expect(server.connections).toBe(1);
    connection.destroy();
    await left;
    expect(server.connections).toBe(0);
  });
});

describe('/metrics', () => {
  const get = (socket: string, path: string): Promise<{ status: number | undefined; type: string | undefined; text: string }> =>
    new Promise((resolve, reject) => {
      const request = http.get({ socketPath: socket, path }, (response) => {
        const parts: Buffer[] = [];
        response
          .on('data', (part: Buffer) => parts.push(part))
          .on('end', () =>
            resolve({ status: response.statusCode, type: response.headers['content-type'], text: Buffer.concat(parts).toString() }),
          );
      });
      request.on('error', reject);
    });

  test('has replicas by state, what they use, and operations, as Prometheus reads them', async () => {
    const { stack, socket } = await serve();
    const healthcheck = { test: ['CMD', 'ok'], interval: '1s' };
    await stack.up(shopOf(stack, { db: { healthcheck }, web: {} }));
    await stack.until(() => stack.row('shop-db-1').health === 'healthy');
    await stack.verb('stop', { services: ['web'] });
    await stack.verb('stop', { services: ['nothing'] }).catch(() => {});
    const { status, type, text } = await get(socket, '/metrics');
    expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    const lines = text.split('\n');
    const db = '{stack="shop",service="db",replica="shop-db-1"}';
    expect(lines).toEqual(
      expect.arrayContaining([
        '# TYPE hypr_replicas gauge',
        'hypr_replicas{stack="shop",state="running"} 1',
        'hypr_replicas{stack="shop",state="exited"} 1',
        `hypr_replica_cpu_seconds_total${db} 0.005`,
        `hypr_replica_network_receive_bytes_total${db} 3`,
        `hypr_replica_healthy${db} 1`,
        'hypr_operations_total{stack="shop",operation="up"} 1',
        'hypr_operations_failed_total{stack="shop",operation="up"} 0',
      ]),
    );
    expect(text).not.toContain('hypr_replica_processes{stack="shop",service="web"');
    // Every line is a comment or a sample, every sample has its type before it, and no family is there twice.
    const types = lines.flatMap((line) => /^# TYPE (\S+) (?:gauge|counter)$/.exec(line)?.[1] ?? []);
    expect(new Set(types).size).toBe(types.length);
    for (const line of lines.filter((each) => each !== '' && !each.startsWith('#'))) {
      expect(line).toMatch(/^[a-z_]+\{([a-z]+="[^"]*",?)+\} [0-9.e+-]+$/);
      expect(types).toContain(line.split('{')[0]);
    }
  });

  test('nothing else is there, and a look keeps nobody connected', async () => {
    const { socket, left, stack } = await serve();
    await stack.up(shopOf(stack, { db: {} }));
    expect((await get(socket, '/metrics?x=1')).status).toBe(200);
    expect(await get(socket, '/etc/passwd')).toMatchObject({ status: 404, text: 'there is nothing at /etc/passwd\n' });
    await left;
  });
});
