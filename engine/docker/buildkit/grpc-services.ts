import { randomUUID } from 'node:crypto';
import http2 from 'node:http2';
import { arch } from 'node:os';
import type { Duplex } from 'node:stream';
import { toBinary } from '@bufbuild/protobuf';
import type { ConnectRouter, HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { onAbort } from '../../../base/abort.ts';
import { VERSION } from '../../model/version.ts';
import type { Host } from '../machines/host.ts';
import { Build, Builds, grpcError, type Order } from './builds.ts';
import { Control, type SolveRequest, StatusResponseSchema } from './gen/control_pb.ts';
import { LLBBridge } from './gen/gateway_pb.ts';
import { Sessions } from './sessions.ts';

/** The header by which the gateway's calls say whose they are. */
const BUILD_ID = 'buildkit-controlapi-buildid';
const DOCKERFILE = 'dockerfile.v0';
/** What of the gateway is answered. */
const CAPABILITIES = ['solve.base', 'return', 'returnmap', 'proto.refarray', 'importcaches', 'frontend.caps', 'gateway.solve.evaluate'];

/** BuildKit's protocol as docker's clients speak it: a session beside each build, and its calls. */
export class BuildKit {
  readonly #sessions = new Sessions();
  readonly #builds = new Builds();
  readonly #host: Host;
  readonly #server: http2.Http2Server;

  constructor(host: Host) {
    this.#host = host;
    const routes = (router: ConnectRouter): void => {
      router.service(Control, this.#control());
      router.service(LLBBridge, this.#gateway());
    };
    this.#server = http2.createServer(connectNodeAdapter({ routes, connect: false, grpcWeb: false }));
    this.#server.on('sessionError', () => {});
  }

  /** Answers the calls on a connection until it ends. */
  async serve(connection: Duplex): Promise<void> {
    if (connection.destroyed) {
      return;
    }
    const ended = new Promise<void>((resolve) => connection.once('close', resolve));
    this.#server.emit('connection', connection);
    await ended;
  }

  /** A build that one call asks for, as clients did before buildx; gives the id of its image. */
  async build(
    order: Order,
    options: Readonly<Record<string, string>>,
    onStatus: (status: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<string> {
    const build = new Build(randomUUID());
    build.begin(order);
    const told = (async () => {
      for await (const status of build.follow()) {
        onStatus(toBinary(StatusResponseSchema, status));
      }
    })();
    try {
      return build.imageOf(await this.#run(build, DOCKERFILE, options, signal));
    } finally {
      build.close();
      await told;
    }
  }

  /** Keeps a client's session until its connection ends. */
  session(id: string, connection: Duplex): Promise<void> {
    return this.#sessions.hold(id, connection);
  }

  #control(): Partial<ServiceImpl<typeof Control>> {
    const builds = this.#builds;
    return {
      listWorkers: () => ({ record: [worker()] }),
      info: () => ({ buildkitVersion: version() }),
      solve: (request, { signal }) => this.#solve(request, signal),
      status: async function* ({ Ref }, { signal }) {
        const queue = builds.of(Ref).follow();
        onAbort(signal, () => queue.close());
        yield* queue;
      },
    };
  }

  async #solve(request: SolveRequest, signal: AbortSignal): Promise<{ ExporterResponse: Record<string, string> }> {
    const build = this.#builds.of(request.Ref);
    const [exporter] = request.Exporters;
    const wish =
      exporter !== undefined
        ? { type: exporter.Type, attributes: exporter.Attrs }
        : request.ExporterDeprecated === ''
          ? undefined
          : { type: request.ExporterDeprecated, attributes: request.ExporterAttrsDeprecated };
    build.begin({ session: request.Session, wish });
    try {
      const image =
        request.Frontend === ''
          ? await build.image(signal)
          : build.imageOf(await this.#run(build, request.Frontend, request.FrontendAttrs, signal));
      const answer = image === '' || wish === undefined ? {} : { 'containerimage.digest': image, 'containerimage.config.digest': image };
      return { ExporterResponse: { ...answer, ...(wish?.attributes.name ? { 'image.name': wish.attributes.name } : {}) } };
    } catch (error) {
      throw grpcError(error);
    } finally {
      this.#builds.end(request.Ref);
    }
  }

  #run(build: Build, frontend: string, options: Readonly<Record<string, string>>, signal: AbortSignal): Promise<string> {
    if (frontend !== DOCKERFILE) {
      throw grpcError(new Error(`the front end ${frontend} is not served: only Dockerfiles are built`));
    }
    return build.solve({ host: this.#host, sessions: this.#sessions }, options, signal);
  }

  #gateway(): Partial<ServiceImpl<typeof LLBBridge>> {
    const buildOf = ({ requestHeader }: HandlerContext): Build => this.#builds.of(requestHeader.get(BUILD_ID) ?? '');
    const capabilities = CAPABILITIES.map((ID) => ({ ID, Enabled: true }));
    return {
      ping: () => ({ FrontendAPICaps: capabilities, LLBCaps: [], Workers: [worker()] }),
      solve: async (request, context) => {
        try {
          const id = await this.#run(buildOf(context), request.Frontend, request.FrontendOpt, context.signal);
          return { result: { result: { case: 'ref', value: { id } }, metadata: {} } };
        } catch (error) {
          throw grpcError(error);
        }
      },
      return: ({ result, error }, context) => {
        const refs = result?.result;
        const id = refs?.case === 'ref' ? refs.value.id : refs?.case === 'refs' ? Object.values(refs.value.refs)[0]?.id : undefined;
        buildOf(context).end(id, error === undefined ? undefined : error.message);
        return {};
      },
    };
  }
}

const version = () => ({ package: 'github.com/moby/buildkit', version: 'v0.16.0', revision: `hypr-${VERSION}` });

const worker = () => ({
  ID: 'hypr',
  Labels: { 'org.mobyproject.buildkit.worker.executor': 'microvm' },
  platforms: [{ OS: 'linux', Architecture: arch() === 'arm64' ? 'arm64' : 'amd64', Variant: '' }],
  BuildkitVersion: version(),
});
