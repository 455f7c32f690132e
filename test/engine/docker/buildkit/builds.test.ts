import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Duplex } from 'node:stream';
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { stagingName } from '../../../../base/host/staging.ts';
import { homePaths, runtimeDir } from '../../../../base/paths.ts';
import { parseDockerfile } from '../../../../builder/dockerfile/parse.ts';
import { prepareMounts } from '../../../../builder/solver/machine/run-mounts.ts';
import { sweepBuildFolders } from '../../../../engine/docker/buildkit/build-folders.ts';
import { Build, type Context } from '../../../../engine/docker/buildkit/builds.ts';
import { Packet_PacketType, PacketSchema } from '../../../../engine/docker/buildkit/gen/filesync_pb.ts';
import { BuildKit } from '../../../../engine/docker/buildkit/grpc-services.ts';
import type { Host } from '../../../../engine/docker/machines/host.ts';
import { OpenWork } from '../../../../engine/docker/machines/open-work.ts';
import type { BuildEvent, BuildRequest } from '../../../../engine/model/types.ts';

const { PACKET_STAT, PACKET_DATA, PACKET_FIN } = Packet_PacketType;
const DOCKERFILE = 'FROM scratch\nRUN --mount=type=secret,id=tok x\n';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-builds-test-'));
  vi.stubEnv('HYPR_HOME', join(dir, 'home'));
  vi.stubEnv('HYPR_RUNTIME_DIR', join(dir, 'run'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

/** A client with a Dockerfile in each of its folders, and the secret `tok`. */
const session = {
  files: () => ({
    diffCopy: async function* () {
      yield create(PacketSchema, { type: PACKET_STAT, stat: { path: 'Dockerfile', mode: 0o644 } });
      yield create(PacketSchema, { type: PACKET_STAT });
      yield create(PacketSchema, { type: PACKET_DATA, ID: 0, data: Buffer.from(DOCKERFILE) });
      yield create(PacketSchema, { type: PACKET_DATA, ID: 0 });
      yield create(PacketSchema, { type: PACKET_FIN });
    },
  }),
  secrets: {
    getSecret: async ({ ID }: { ID: string }) => {
      if (ID !== 'tok') {
        throw new ConnectError('none', Code.NotFound);
      }
      return { data: Buffer.from('hush') };
    },
  },
};

type Run = (request: BuildRequest, onEvent: (event: BuildEvent) => void, signal: AbortSignal) => Promise<{ imageId: string }>;

const contextOf = (build: Run): Context =>
  ({
    host: { work: new OpenWork(), images: async () => ({ build }) },
    sessions: { find: async () => session },
  }) as unknown as Context;

const begun = (): Build => {
  const build = new Build('r');
  build.begin({ session: 's', wish: undefined });
  return build;
};

const contexts = (): string => join(homePaths().build, 'tmp');
const secrets = (): string => join(runtimeDir(), '.build-secrets');

test('contexts are in the home and secrets in the runtime folder; a server that ends waits until they are removed', async () => {
  const running = Promise.withResolvers<BuildRequest>();
  const client = new AbortController();
  const context = contextOf(async (request, _, signal) => {
    running.resolve(request);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await new Promise((resolve) => setTimeout(resolve, 100));
    throw new Error('ended');
  });
  const solved = begun().solve(context, {}, client.signal);
  solved.catch(() => {});
  const request = await running.promise;
  expect(dirname(dirname(request.context))).toBe(contexts());
  const secret = request.secrets.tok !== undefined && 'file' in request.secrets.tok ? request.secrets.tok.file : '';
  expect(dirname(dirname(secret))).toBe(secrets());
  expect(readFileSync(secret, 'utf8')).toBe('hush');
  await context.host.work.ended(1);
  expect(existsSync(secret)).toBe(true);

  client.abort();
  await context.host.work.ended();
  expect([...readdirSync(contexts()), ...readdirSync(secrets())]).toEqual([]);
  await expect(solved).rejects.toThrow('ended');
});

test('the context may be the body of the request, with a session for secrets or without one', async () => {
  const body = (async function* () {
    yield Buffer.from('a tar');
  })();
  for (const id of ['', 's']) {
    const build = new Build('r');
    build.begin({ session: id, wish: { type: 'moby', attributes: { name: 'app' } }, body });
    const given: BuildRequest[] = [];
    const context = contextOf(async (request) => {
      given.push(request);
      expect(await request.findSecret?.('tok')).toEqual(id === '' ? undefined : { file: expect.stringContaining('secret1') });
      return { imageId: 'sha256:made' };
    });
    expect(build.imageOf(await build.solve(context, { filename: 'docker/File' }, new AbortController().signal))).toBe('sha256:made');
    expect(given).toMatchObject([{ context: '-', stdin: body, dockerfile: { path: 'docker/File' }, tags: ['app'] }]);
  }
});

test('what killed servers left is swept, what runs is not', async () => {
  const own = stagingName('context');
  for (const name of [own, own.replace(/-\d+-\d+-/, '-999999999-1-')]) {
    mkdirSync(join(contexts(), name, '1'), { recursive: true });
    mkdirSync(join(secrets(), name, '1'), { recursive: true });
  }
  await sweepBuildFolders();
  expect(readdirSync(contexts())).toEqual([own]);
  expect(readdirSync(secrets())).toEqual([own]);
});

test('connections that closed before are not waited for', async () => {
  const buildKit = new BuildKit({} as Host);
  const connection = new Duplex({ read: () => {}, write: () => {} }).destroy();
  await new Promise((resolve) => connection.once('close', resolve));
  await buildKit.session('s', connection);
  await buildKit.serve(connection);
});

test('a build whose client has gone before is not waited for', async () => {
  const [build, gone] = [new Build('r'), AbortSignal.abort()];
  await expect(build.image(gone)).rejects.toThrow(/the client has gone/);
  await expect(build.solve({} as Context, {}, gone)).rejects.toThrow(/not begun/);
  build.end(undefined, 'of the client');
  await expect(build.image(new AbortController().signal)).rejects.toThrow('of the client');
});

test('of what was said, a follower that does not read is kept the newest 16 MiB', async () => {
  const text = 'x'.repeat(1 << 20);
  const context = contextOf(async (_, onEvent) => {
    for (let time = 0; time < 40; time++) {
      onEvent({ type: 'log', id: 1, stream: 'stdout', text, time });
    }
    onEvent({ type: 'log', id: 1, stream: 'stdout', text: 'last', time: 40 });
    return { imageId: 'sha256:made' };
  });
  const build = begun();
  const early = build.follow();
  await build.solve(context, {}, new AbortController().signal);
  const late = build.follow();
  expect(early.size).toBe(16);
  expect(Buffer.from(early.last?.logs[0]?.msg ?? []).toString()).toBe('last');
  expect(late.size).toBe(15);
  build.close();
});

test('a step of a Dockerfile that only the build sees gets the secrets of the client', async () => {
  const secretsIn = async (request: BuildRequest, mount: string) => {
    const dockerfile = parseDockerfile(`FROM scratch\nRUN --mount=type=secret,${mount} x\n`, 'Dockerfile');
    const instruction = dockerfile.stages[0]?.instructions[0];
    const step = { instruction, state: {}, index: 0 } as unknown as Parameters<typeof prepareMounts>[1];
    const prepared = await prepareMounts({ request, dockerfile } as unknown as Parameters<typeof prepareMounts>[0], step);
    return prepared.map(({ secret }) => secret && Buffer.from(secret).toString());
  };
  const context = contextOf(async (request) => {
    expect(request.secrets).toEqual({});
    expect(await secretsIn(request, 'id=tok')).toEqual(['hush']);
    expect(await secretsIn(request, 'id=none')).toEqual([undefined]);
    await expect(secretsIn(request, 'id=none,required')).rejects.toThrow('secret none: not found');
    return { imageId: 'sha256:made' };
  });
  const result = await begun().solve(context, { context: 'https://example.com/x.tar' }, new AbortController().signal);
  expect(result).not.toBe('');
  expect(readdirSync(secrets())).toEqual([]);
});
