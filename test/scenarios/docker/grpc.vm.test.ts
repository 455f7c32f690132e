import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromJson, type JsonObject, toJson } from '@bufbuild/protobuf';
import { StructSchema, type Value, ValueSchema } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Home } from '../../../engine/api/gen/home_pb.ts';
import { ReplicaState, Supervisor } from '../../../engine/api/gen/hypr_pb.ts';
import { hypr, hyprBin } from '../../support/cli.ts';
import { removeAtExit } from '../../support/left-over.ts';

/** A client of gRPC against `hypr serve --grpc`, over real machines. */
describe('gRPC', () => {
  const dir = removeAtExit(mkdtempSync(join(tmpdir(), 'hypr-grpc-')));
  const env: NodeJS.ProcessEnv = { HYPR_HOME: inject('hyprHome'), HYPR_REGISTRY_MIRRORS: inject('mirrors') };
  let server: ChildProcess;
  let said = '';

  beforeAll(async () => {
    server = spawn(hyprBin, ['serve', '--socket', join(dir, 'docker.sock'), '--grpc', '0'], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    for await (const chunk of server.stderr as AsyncIterable<Buffer>) {
      said += chunk;
      if (said.includes('DOCKER_HOST=')) {
        break;
      }
    }
  });
  afterAll(async () => {
    server.kill();
    await once(server, 'exit');
    await hypr(['-p', 'viagrpc', 'down', '-t', '1'], { env, cwd: dir });
  });

  const of = (members: JsonObject) => fromJson(StructSchema, members);
  const all = async (values: AsyncIterable<Value>): Promise<unknown[]> => {
    const read: unknown[] = [];
    for await (const value of values) {
      read.push(toJson(ValueSchema, value));
    }
    return read;
  };

  test('a stack is brought up, its supervisor asked, a machine run and its end told, and the stack is gone', async () => {
    const [, port, tokenFile = ''] = /grpc: 127\.0\.0\.1:(\d+) \(token: ([^)]*)\)/.exec(said) ?? [];
    const metadata = { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`, 'hypr-stack': 'viagrpc' };
    const transport = createGrpcTransport({
      baseUrl: `http://127.0.0.1:${port}`,
      interceptors: [
        (next) => (request) => {
          for (const [name, value] of Object.entries(metadata)) {
            request.header.set(name, value);
          }
          return next(request);
        },
      ],
    });
    const home = createClient(Home, transport);
    const supervisor = createClient(Supervisor, transport);
    const service = { image: 'busybox', command: ['sh', '-c', 'echo hello; exec sleep 1d'], stop_grace_period: '1s' };
    const told = await all(home.deployStack(of({ name: 'viagrpc', compose: JSON.stringify({ services: { a: service } }), wait: true })));
    expect(told.at(-1)).toEqual({ type: 'finished', stack: 'viagrpc' });

    expect((await supervisor.ps({})).replicas).toMatchObject([{ name: 'viagrpc-a-1', state: ReplicaState.RUNNING }]);
    const lines: string[] = [];
    // Its program has begun, and may not have written yet.
    for await (const { line } of supervisor.logs({ services: ['a'], follow: true })) {
      lines.push(line);
      break;
    }
    expect(lines).toEqual(['hello']);
    expect(toJson(ValueSchema, await home.exec(of({ id: 'viagrpc-a-1', command: ['sh', '-c', 'echo in; exit 4'] })))).toMatchObject({
      exit_code: 4,
      stdout: 'in\n',
    });

    const run = await all(home.runVM(of({ image: 'busybox', command: ['sh', '-c', 'echo one; echo two; exit 3'] })));
    const { id } = run[0] as { id: string };
    expect(run.slice(1)).toEqual([{ line: 'one' }, { line: 'two' }, { exit_code: 3 }]);
    await home.deleteVM(of({ id }));
    await home.destroyStack(of({ name: 'viagrpc' }));
    const stacks = toJson(ValueSchema, await home.listStacks(of({}))) as Array<{ name: string }>;
    expect(stacks.map(({ name }) => name)).not.toContain('viagrpc');
  });
});
