import { existsSync, lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { connectNodeAdapter, createGrpcTransport } from '@connectrpc/connect-node';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AsyncQueue } from '../../../../base/queue.ts';
import { settingsOf } from '../../../../engine/docker/buildkit/frontend-request.ts';
import { Control } from '../../../../engine/docker/buildkit/gen/control_pb.ts';
import { FileSync, type Packet, Packet_PacketType, PacketSchema } from '../../../../engine/docker/buildkit/gen/filesync_pb.ts';
import { LLBBridge } from '../../../../engine/docker/buildkit/gen/gateway_pb.ts';
import { Secrets } from '../../../../engine/docker/buildkit/gen/secrets_pb.ts';
import { BuildKit } from '../../../../engine/docker/buildkit/grpc-services.ts';
import { receiveFolder } from '../../../../engine/docker/buildkit/receive-folder.ts';
import type { Session } from '../../../../engine/docker/buildkit/sessions.ts';
import type { Host } from '../../../../engine/docker/machines/host.ts';
import { OpenWork } from '../../../../engine/docker/machines/open-work.ts';
import type { BuildEvent, BuildRequest } from '../../../../engine/model/types.ts';

const { PACKET_STAT, PACKET_REQ, PACKET_DATA, PACKET_FIN } = Packet_PacketType;
const DIR = 0x8000_0000;
const LINK = 0x0800_0000;

interface Sent {
  readonly path: string;
  readonly mode: number;
  readonly linkname?: string;
  readonly content?: string;
}

const stat = ({ path, mode, linkname = '', content = '' }: Sent): Packet =>
  create(PacketSchema, {
    type: PACKET_STAT,
    stat: { path, mode, linkname, size: BigInt(content.length), modTime: 1_600_000_000_000_000_000n },
  });

/** What a client sends of these files; contents come in pieces, in turn, when they are asked for. */
async function* sendFiles(files: readonly Sent[], asked: AsyncIterable<Packet>): AsyncGenerator<Packet> {
  yield* files.map(stat);
  yield create(PacketSchema, { type: PACKET_STAT });
  const wanted: number[] = [];
  const count = files.filter(({ mode }) => (mode & (DIR | LINK)) === 0).length;
  for await (const { type, ID } of asked) {
    if (type === PACKET_FIN) {
      yield create(PacketSchema, { type: PACKET_FIN });
      return;
    }
    expect(type).toBe(PACKET_REQ);
    wanted.push(ID);
    if (wanted.length === count) {
      const rest = new Map(wanted.map((id) => [id, [...(files[id]?.content ?? '')]]));
      while (rest.size > 0) {
        for (const [id, letters] of rest) {
          const letter = letters.shift();
          yield create(PacketSchema, { type: PACKET_DATA, ID: id, data: Buffer.from(letter ?? '') });
          letter === undefined && rest.delete(id);
        }
      }
    }
  }
}

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-buildkit-test-'));
  vi.stubEnv('HYPR_HOME', join(dir, 'home'));
  vi.stubEnv('HYPR_RUNTIME_DIR', join(dir, 'run'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

describe('a folder of the client', () => {
  const receive = (answer: (asked: AsyncIterable<Packet>) => AsyncIterable<Packet>, limits: { mostBytes?: number } = {}): Promise<void> => {
    const request = { name: 'context', ...limits };
    return receiveFolder({ files: () => ({ diffCopy: answer }) } as unknown as Session, request, dir, new AbortController().signal);
  };

  test('comes whole: folders, files in pieces, links, modes and times', async () => {
    const files = [
      { path: '..data', mode: 0o644, content: 'as kubelet has' },
      { path: 'bin', mode: DIR | 0o555 },
      { path: 'bin/run', mode: 0o755 | 0x0080_0000, content: 'program' },
      { path: 'empty', mode: 0o600, content: '' },
      { path: 'link', mode: LINK | 0o777, linkname: '/etc/passwd' },
      { path: 'text', mode: 0o444, content: 'hello' },
    ];
    await receive((asked) => sendFiles(files, asked));
    expect(readFileSync(join(dir, '..data'), 'utf8')).toBe('as kubelet has');
    expect(readFileSync(join(dir, 'bin/run'), 'utf8')).toBe('program');
    expect(statSync(join(dir, 'bin/run')).mode & 0o7777).toBe(0o4755);
    expect(statSync(join(dir, 'text')).mtimeMs).toBe(1_600_000_000_000);
    expect(statSync(join(dir, 'bin')).mtimeMs).toBe(1_600_000_000_000);
    expect(readFileSync(join(dir, 'empty'), 'utf8')).toBe('');
    expect(lstatSync(join(dir, 'link')).isSymbolicLink()).toBe(true);
    expect(readlinkSync(join(dir, 'link'))).toBe('/etc/passwd');
  });

  test.each([
    ['a path above it', [{ path: '../x', mode: 0o644 }]],
    ['its parent', [{ path: 'a/../..', mode: 0o644 }]],
    ['an absolute path', [{ path: '/tmp/x', mode: 0o644 }]],
    [
      'a path below a link',
      [
        { path: 'a', mode: LINK, linkname: '/tmp' },
        { path: 'a/x', mode: 0o644 },
      ],
    ],
    ['a path in a folder that was not sent', [{ path: 'b/x', mode: 0o644 }]],
  ])('is refused with %s', async (_, files: Sent[]) => {
    await expect(receive((asked) => sendFiles(files, asked))).rejects.toMatchObject({ status: 400 });
  });

  test('is refused when all its files together are larger than the limit', async () => {
    const files = ['a', 'b'].map((path) => ({ path, mode: 0o644, content: 'four' }));
    await expect(receive((asked) => sendFiles(files, asked), { mostBytes: 7 })).rejects.toThrow(/larger than 7 bytes/);
    rmSync(join(dir, 'a'));
    rmSync(join(dir, 'b'));
    await receive((asked) => sendFiles(files, asked), { mostBytes: 8 });
    expect(readFileSync(join(dir, 'b'), 'utf8')).toBe('four');
  });

  test('is refused when it ends early, or when bytes come that nobody asked for', async () => {
    await expect(
      receive(async function* () {
        yield stat({ path: 'x', mode: 0o644, content: 'abc' });
      }),
    ).rejects.toThrow(/in part only/);
    await expect(
      receive(async function* () {
        yield create(PacketSchema, { type: PACKET_DATA, ID: 7, data: Buffer.from('x') });
      }),
    ).rejects.toThrow(/nobody asked/);
  });
});

describe('the settings of a build', () => {
  test('are those of the front end and of the exporter', () => {
    const options = {
      'build-arg:A': '1',
      'label:b': '2',
      target: 't',
      'no-cache': 'x,y',
      'image-resolve-mode': 'pull',
      'add-hosts': 'h=1.2.3.4',
    };
    expect(settingsOf(options, { type: 'moby', attributes: { name: 'a:1,b' } })).toMatchObject({
      tags: ['a:1', 'b'],
      buildArgs: { A: '1' },
      labels: { b: '2' },
      target: 't',
      noCache: false,
      noCacheFilter: ['x', 'y'],
      pull: true,
      extraHosts: ['h:1.2.3.4'],
    });
    expect(settingsOf({ 'no-cache': '' }, undefined)).toMatchObject({ noCache: true, tags: [] });
  });

  test('that are not served are refused', () => {
    expect(() => settingsOf({ requestid: 'frontend.outline' }, undefined)).toThrow(/not supported/);
    expect(() => settingsOf({}, { type: 'local', attributes: {} })).toThrow(/not supported/);
    expect(() => settingsOf({}, { type: 'image', attributes: { push: 'true' } })).toThrow(/docker push/);
    expect(() => settingsOf({ platform: 'linux/amd64,linux/arm64' }, undefined)).toThrow(/one platform/);
  });
});

describe('a build of buildx', () => {
  const files: Record<string, Sent[]> = {
    dockerfile: [
      { path: 'Dockerfile', mode: 0o644, content: 'FROM scratch\nRUN --mount=type=secret,id=tok --mount=type=secret,id=none x\n' },
    ],
    context: [
      { path: '.dockerignore', mode: 0o644, content: '# no\n/*.log\n!keep.log\n' },
      { path: 'a', mode: 0o644, content: 'A' },
    ],
  };
  const asked: Array<Record<string, string | null>> = [];
  const requests: BuildRequest[] = [];
  let failure: Error | undefined;
  let seen: Record<string, string> = {};
  const host = {
    work: new OpenWork(),
    images: async () => ({
      build: async (request: BuildRequest, onEvent: (event: BuildEvent) => void) => {
        requests.push(request);
        seen = { a: readFileSync(join(request.context, 'a'), 'utf8'), folder: request.context };
        const { tok } = request.secrets;
        seen.secret = tok !== undefined && 'file' in tok ? readFileSync(tok.file, 'utf8') : '';
        onEvent({ type: 'vertex', id: 1, name: 'step', state: 'started', time: 5 });
        onEvent({ type: 'log', id: 1, stream: 'stderr', text: 'said\n', time: 6 });
        if (failure !== undefined) {
          throw failure;
        }
        onEvent({ type: 'vertex', id: 1, name: 'step', state: 'done', time: 7, duration: 2 });
        return { imageId: 'sha256:made', manifestDigest: '' };
      },
    }),
  } as unknown as Host;

  const far: Duplex[] = [];
  afterEach(() => {
    for (const connection of far.splice(0)) {
      connection.destroy();
    }
    asked.length = 0;
    requests.length = 0;
    failure = undefined;
  });

  /** The client's two connections: the session that it serves, and its calls. */
  const open = () => {
    const buildKit = new BuildKit(host);
    const session = duplexPair();
    const served = http2.createServer(
      connectNodeAdapter({
        routes: (router) => {
          router.service(FileSync, {
            diffCopy: (input, { requestHeader }) => {
              const names = ['dir-name', 'followpaths', 'exclude-patterns'];
              asked.push(Object.fromEntries(names.map((name) => [name, requestHeader.get(name)])));
              const only = requestHeader.get('followpaths')?.split(/, ?/);
              const all = files[requestHeader.get('dir-name') ?? ''] ?? [];
              return sendFiles(
                all.filter(({ path }) => only?.includes(path) ?? true),
                input,
              );
            },
          });
          router.service(Secrets, {
            getSecret: ({ ID }) => {
              if (ID !== 'tok') {
                throw new ConnectError('none', Code.NotFound);
              }
              return { data: Buffer.from('hush') };
            },
          });
        },
      }),
    );
    served.emit('connection', session[0]);
    void buildKit.session('s1', session[1]);
    const calls = duplexPair();
    void buildKit.serve(calls[1]);
    const connection = http2.connect('http://x', { createConnection: () => calls[0] });
    far.push(...session, ...calls);
    const transport = createGrpcTransport({
      baseUrl: 'http://x',
      sessionManager: {
        authority: 'http://x',
        notifyResponseByteRead: () => {},
        request: async (method, path, headers, options) => connection.request({ ...headers, ':method': method, ':path': path }, options),
      },
    });
    return { control: createClient(Control, transport), bridge: createClient(LLBBridge, transport) };
  };

  /** As buildx does: `Solve` waits, the steps are asked for by the gateway, their result is returned. */
  const build = async () => {
    const { control, bridge } = open();
    const said = new AsyncQueue<string>();
    const following = (async () => {
      for await (const { vertexes, logs } of control.status({ Ref: 'r1' })) {
        vertexes.forEach(({ name, completed }) => void said.push(`${name} ${completed === undefined ? 'begun' : 'done'}`));
        logs.forEach(({ msg }) => void said.push(Buffer.from(msg).toString()));
      }
      said.end();
    })();
    const solved = control.solve({ Ref: 'r1', Session: 's1', ExporterDeprecated: 'moby', ExporterAttrsDeprecated: { name: 'bk/one' } });
    solved.catch(() => {});
    const headers = { 'buildkit-controlapi-buildid': 'r1' };
    try {
      const { result } = await bridge.solve({ Frontend: 'dockerfile.v0', FrontendOpt: { 'build-arg:A': '1' } }, { headers });
      await bridge.return({ ...(result === undefined ? {} : { result }) }, { headers });
    } catch (error) {
      await bridge.return({ error: { code: 2, message: ConnectError.from(error).rawMessage } }, { headers });
    }
    const answer = await solved.finally(() => following);
    const all: string[] = [];
    for await (const word of said) {
      all.push(word);
    }
    return { answer, said: all };
  };

  test('fetches what it needs and nothing else, tells what happens, and names the image', async () => {
    const { answer, said } = await build();
    expect(answer.ExporterResponse).toEqual({
      'containerimage.digest': 'sha256:made',
      'containerimage.config.digest': 'sha256:made',
      'image.name': 'bk/one',
    });
    expect(said).toEqual(['step begun', 'said\n', 'step done']);
    expect(requests[0]).toMatchObject({ tags: ['bk/one'], buildArgs: { A: '1' }, secrets: { tok: { file: expect.any(String) } } });
    expect(seen.secret).toBe('hush');
    expect(requests[0]?.secrets).not.toHaveProperty('none');
    expect(requests[0]?.dockerfile).toMatchObject({ name: 'Dockerfile', text: expect.stringContaining('FROM scratch') });
    expect(asked[0]).toMatchObject({
      'dir-name': 'dockerfile',
      followpaths: expect.stringMatching(/^Dockerfile, ?Dockerfile.dockerignore$/),
    });
    expect(asked.at(-1)).toMatchObject({
      'dir-name': 'context',
      followpaths: null,
      'exclude-patterns': expect.stringMatching(/^\*\.log, ?!keep\.log$/),
    });
    expect(seen.a).toBe('A');
    expect(existsSync(seen.folder ?? '')).toBe(false);
  });

  test('fails with the words of the build', async () => {
    failure = new Error('RUN x failed');
    await expect(build()).rejects.toThrow(/RUN x failed/);
    expect(existsSync(seen.folder ?? '')).toBe(false);
  });

  test('of another front end is refused', async () => {
    const { bridge } = open();
    await expect(bridge.solve({ Frontend: 'gateway.v0' })).rejects.toThrow(/only Dockerfiles/);
  });
});
