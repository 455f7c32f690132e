import type { Duplex } from 'node:stream';
import type { BuildEvent, BuildRequest } from '../../model/types.ts';
import type { BuildKit } from '../buildkit/grpc-services.ts';
import { ApiError, notHere } from '../http/errors.ts';
import type { Query } from '../http/query.ts';
import type { Call, Routes } from '../http/router.ts';
import { asMap, asTexts } from '../http/values.ts';
import type { Host } from '../machines/host.ts';
import { JsonLines } from './json-lines.ts';

/** The classic build: a tar of the context goes in, lines of what happens come out. */
export const buildRoutes = (host: Host): Routes => {
  // BuildKit's protocol is loaded with the first call of it.
  let opened: Promise<BuildKit> | undefined;
  const buildKit = (): Promise<BuildKit> => {
    opened ??= import('../buildkit/grpc-services.ts').then((module) => new module.BuildKit(host));
    return opened;
  };
  return {
    'POST /build': async (call) => (call.query.text('version') === '2' ? buildBySession(await buildKit(), call) : build(host, call)),
    'POST /grpc': async (call) => {
      const served = await buildKit();
      await served.serve(takeOver(call));
    },
    'POST /session': async (call) => {
      const id = call.headers['x-docker-expose-session-uuid'];
      if (typeof id !== 'string' || id === '' || id.length > 256) {
        throw new ApiError(400, 'the session has no id');
      }
      const served = await buildKit();
      await served.session(id, takeOver(call));
    },
  };
};

/** The connection is BuildKit's from then on. */
const takeOver = ({ reply }: Call): Duplex => {
  const { connection } = reply.hijack('application/octet-stream');
  if (connection === undefined) {
    throw new ApiError(400, 'the connection has to be upgraded to h2c');
  }
  return connection;
};

const build = async (host: Host, { query, body, reply, signal }: Call): Promise<void> => {
  const request = requestOf(query, body.bytes);
  const images = await host.images();
  const lines = new JsonLines(reply);
  await lines.carry(async () => {
    const steps = new Map<number, string>();
    const { imageId } = await images.build(request, (event) => tell(lines, steps, event), signal);
    lines.send({ aux: { ID: imageId } });
    lines.send({ stream: `Successfully built ${imageId.replace('sha256:', '').slice(0, 12)}\n` });
    for (const tag of request.tags) {
      lines.send({ stream: `Successfully tagged ${tag}\n` });
    }
  });
};

/** Where clients that serve their context on their session say that it is. */
const ON_SESSION = 'client-session';

/** docker's command line before buildx, and libraries: what it builds from is on its session or the body, what happens comes back as BuildKit's messages. */
const buildBySession = async (buildKit: BuildKit, { query, body, reply, signal }: Call): Promise<void> => {
  // Without a word about it the context is the body, as libraries send it that open a session for their credentials alone.
  const remote = query.text('remote');
  if (remote === 'upload-request') {
    throw new ApiError(501, 'a build of standard input by BuildKit is not served to this client: set DOCKER_BUILDKIT=0, or use hypr build');
  }
  const named = (key: string, prefix: string): Array<[string, string]> =>
    Object.entries(asMap(query.json(key))).map(([name, value]) => [`${prefix}:${name}`, value]);
  const given = (key: string, name: string): Array<[string, string]> => {
    const value = query.text(name);
    return value === undefined || value === '' ? [] : [[key, value]];
  };
  const options = Object.fromEntries([
    ...given('filename', 'dockerfile'),
    ...given('target', 'target'),
    ...given('platform', 'platform'),
    ...given('shm-size', 'shmsize'),
    ...(query.text('networkmode') === 'none' ? [['force-network-mode', 'none']] : []),
    ...(query.bool('nocache') ? [['no-cache', '']] : []),
    ...(query.bool('pull') ? [['image-resolve-mode', 'pull']] : []),
    ...(remote === undefined || remote === ON_SESSION ? [] : [['context', remote]]),
    ...[['add-hosts', query.list('extrahosts').join(',')]],
    ...named('buildargs', 'build-arg'),
    ...named('labels', 'label'),
  ]) as Record<string, string>;
  const name = query
    .list('t')
    .filter((tag) => tag !== '')
    .join(',');
  const order = {
    session: query.text('session') ?? '',
    wish: { type: 'moby', attributes: { name } },
    ...(remote === undefined ? { body: body.bytes } : {}),
  };
  const lines = new JsonLines(reply);
  await lines.carry(async () => {
    const onStatus = (status: Uint8Array): void => lines.send({ id: 'moby.buildkit.trace', aux: Buffer.from(status).toString('base64') });
    const imageId = await buildKit.build(order, options, onStatus, signal);
    lines.send({ id: 'moby.image.id', aux: { ID: imageId } });
  });
};

/** Throws 501 for what a build does not reach. */
const requestOf = (query: Query, stdin: AsyncIterable<Uint8Array>): BuildRequest => {
  const remote = query.text('remote');
  const network = query.text('networkmode') ?? 'default';
  if (!OWN_NETWORKS.has(network)) {
    throw notHere(
      `a build in the network ${network}`,
      'a build runs in a machine with a network of its own, from which it reaches the outside alone',
    );
  }
  const [target, platform, shm] = [query.text('target'), query.text('platform'), query.int('shmsize')];
  return {
    context: remote ?? '-',
    ...(remote === undefined ? { stdin, classic: true } : {}),
    dockerfile: { path: query.text('dockerfile') ?? 'Dockerfile' },
    tags: query.list('t').filter((tag) => tag !== ''),
    buildArgs: asMap(query.json('buildargs')),
    labels: asMap(query.json('labels')),
    noCache: query.bool('nocache'),
    pull: query.bool('pull'),
    network: network === 'none' ? 'none' : 'default',
    additionalContexts: {},
    extraHosts: asTexts(query.list('extrahosts')),
    secrets: {},
    ...(target === undefined ? {} : { target }),
    ...(platform === undefined ? {} : { platform }),
    ...(shm === undefined || shm === 0 ? {} : { shmSize: shm }),
  };
};

/** docker's words for its own networks. */
const OWN_NETWORKS: ReadonlySet<string> = new Set(['default', 'bridge', 'host', 'none']);

/** Steps as docker's classic builder names them, and what their programs print. */
const tell = (lines: JsonLines, steps: Map<number, string>, event: BuildEvent): void => {
  switch (event.type) {
    case 'vertex':
      if (!steps.has(event.id)) {
        steps.set(event.id, event.name);
        lines.send({ stream: `Step ${steps.size} : ${event.name}\n` });
      }
      if (event.state === 'cached') {
        lines.send({ stream: ' ---> Using cache\n' });
      }
      return;
    case 'log':
      lines.send({ stream: event.text });
      return;
    case 'warning':
      lines.send({ stream: `[Warning] ${event.message}\n` });
      return;
    default:
  }
};
