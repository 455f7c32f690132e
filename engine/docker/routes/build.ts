import type { BuildEvent, BuildRequest } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import type { Query } from '../http/query.ts';
import type { Call, Routes } from '../http/router.ts';
import { asMap, asTexts } from '../http/values.ts';
import type { Host } from '../machines/host.ts';
import { JsonLines } from './json-lines.ts';

/** The classic build: a tar of the context goes in, lines of what happens come out. */
export const buildRoutes = (host: Host): Routes => ({ 'POST /build': (call) => build(host, call) });

const build = async (host: Host, { query, body, reply, signal }: Call): Promise<void> => {
  if (query.text('version') === '2') {
    throw new ApiError(501, "BuildKit's protocol is not served yet: build with hypr build, or set DOCKER_BUILDKIT=0");
  }
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

const requestOf = (query: Query, stdin: AsyncIterable<Uint8Array>): BuildRequest => {
  const remote = query.text('remote');
  const network = query.text('networkmode') ?? 'default';
  const [target, platform, shm] = [query.text('target'), query.text('platform'), query.int('shmsize')];
  return {
    context: remote ?? '-',
    ...(remote === undefined ? { stdin } : {}),
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
