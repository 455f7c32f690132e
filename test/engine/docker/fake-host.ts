import type { Body } from '../../../engine/docker/http/body.ts';
import { ApiError } from '../../../engine/docker/http/errors.ts';
import { Query } from '../../../engine/docker/http/query.ts';
import type { Reply } from '../../../engine/docker/http/reply.ts';
import { type Call, makeRouter } from '../../../engine/docker/http/router.ts';
import type { Host } from '../../../engine/docker/machines/host.ts';
import { dockerRoutes } from '../../../engine/docker/routes/index.ts';
import type { Image, NetworkDetail, ObjectApi, ReplicaDetail, VolumeDetail } from '../../../engine/model/types.ts';

/** A host with these objects, which are removed when they are asked to be. */
export class FakeHost {
  readonly volumes: VolumeDetail[];
  readonly replicas: ReplicaDetail[];
  readonly images: Image[];
  readonly networks: NetworkDetail[];
  /** What was asked of it: the method and its arguments. */
  readonly asked: Array<readonly unknown[]> = [];

  constructor(own: { volumes?: VolumeDetail[]; replicas?: ReplicaDetail[]; images?: Image[]; networks?: NetworkDetail[] }) {
    this.volumes = own.volumes ?? [];
    this.replicas = own.replicas ?? [];
    this.images = own.images ?? [];
    this.networks = own.networks ?? [];
  }

  /** As the routes see it; what no test needs is not there. */
  get host(): Host {
    const objects: Partial<ObjectApi> = {
      volumes: () => this.volumes,
      networks: () => this.networks,
      replicas: (reference) => this.replicas.filter(({ status }) => reference === undefined || status.name === reference),
      removeVolume: async (name) => {
        this.asked.push(['removeVolume', name]);
      },
      updateReplica: async (...args) => {
        this.asked.push(['updateReplica', ...args]);
      },
    };
    const recorded = (what: string) => (options: { since?: number; until?: number }) => {
      this.asked.push([what, options.since, options.until]);
      return [];
    };
    const copyTo = async (place: { path: string }, tar: AsyncIterable<Uint8Array>): Promise<void> => {
      const parts: Uint8Array[] = [];
      for await (const part of tar) {
        parts.push(part);
      }
      this.asked.push(['copyTo', place, Buffer.concat(parts)]);
    };
    return {
      objects,
      events: {
        tell: () => {},
        follow: recorded('events'),
      },
      withStack: async (_: string, work: (stack: unknown) => Promise<unknown>) => work({ logs: recorded('logs'), copyTo }),
      letGo: () => {},
      find: (name: string) => {
        const found = this.replicas.find(({ status }) => status.name === name);
        if (found === undefined) {
          throw new ApiError(404, `No such container: ${name}`);
        }
        return found;
      },
      images: async () => ({ list: async () => this.images }),
    } as unknown as Host;
  }
}

export interface Answer {
  status: number;
  value: unknown;
}

/** The answer of a route to a request; throws what the route throws. */
export const ask = async (fake: FakeHost, method: string, url: string, bytes: readonly Uint8Array[] = []): Promise<Answer> => {
  const { pathname, searchParams } = new URL(url, 'http://hypr');
  const { handler, params, version } = makeRouter(dockerRoutes(fake.host))(method, pathname);
  const answer: Answer = { status: 0, value: undefined };
  const reply: Partial<Reply> = {
    json: (value, status = 200) => Object.assign(answer, { status, value }),
    empty: (status) => Object.assign(answer, { status }),
    stream: () =>
      ({ write: async () => {}, end: () => Object.assign(answer, { status: 200 }), isOpen: true }) as unknown as ReturnType<
        Reply['stream']
      >,
  };
  const body: Partial<Body> = {
    bytes: (async function* () {
      yield* bytes;
    })(),
    json: async () => JSON.parse(Buffer.concat(bytes).toString()),
  };
  await handler({
    params,
    query: new Query(searchParams),
    version,
    headers: {},
    body,
    reply,
    signal: new AbortController().signal,
  } as Call);
  return answer;
};

/** A path with docker's filters. */
export const filtered = (path: string, filters: Record<string, string[]>): string =>
  `${path}?filters=${encodeURIComponent(JSON.stringify(filters))}`;
