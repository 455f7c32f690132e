import { PassThrough } from 'node:stream';
import { HyprError } from '../../../base/errors.ts';
import { AsyncQueue } from '../../../base/queue.ts';
import type { WatchOptions } from '../../../engine/model/command-options.ts';
import type { EdgeInfo } from '../../../engine/model/edge.ts';
import type { EngineEvent, LogRecord, RecordedEvent, ReplicaStatus, ReplicaUsage } from '../../../engine/model/events.ts';
import type { NameReport } from '../../../engine/model/published-names.ts';
import type {
  BuildCheck,
  BuildEvent,
  BuildOutline,
  BuildTargets,
  DoctorCheck,
  EngineApi,
  ExecOptions,
  ExecSession,
  Image,
  ImageApi,
  NetworkDetail,
  ReplicaDetail,
  Stack,
  StackSummary,
  TrustStatus,
  UsageDetails,
  VolumeDetail,
} from '../../../engine/model/types.ts';

export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

export const replica = (extra: Partial<ReplicaStatus> & { service: string }): ReplicaStatus => ({
  id: '0123456789abcdef'.repeat(4),
  name: `shop-${extra.service}-${extra.number ?? 1}`,
  number: 1,
  oneOff: false,
  image: `docker.io/library/${extra.service}:1`,
  imageId: `sha256:${'ab'.repeat(32)}`,
  command: ['run', extra.service],
  state: 'running',
  health: 'none',
  exitCode: 0,
  restarts: 0,
  createdAt: NOW - 4000,
  startedAt: NOW - 2000,
  addresses: [{ network: 'shop_default', address: '192.168.127.3', mac: '02:00:00:00:00:01' }],
  ports: [],
  exposed: [],
  labels: {},
  mounts: [],
  volumes: [],
  ...extra,
});

export const log = (service: string, line: string, extra: Partial<LogRecord> = {}): LogRecord => ({
  time: NOW,
  stream: 'stdout',
  replica: `shop-${service}-1`,
  service,
  line,
  ...extra,
});

/** What comes until the queue ends; a command that is interrupted meanwhile is cancelled. */
async function* readEvents(events: AsyncQueue<EngineEvent>, signal?: AbortSignal): AsyncGenerator<EngineEvent> {
  try {
    for (let next = await events.take(signal); !next.done; next = await events.take(signal)) {
      yield next.value;
    }
  } catch (error) {
    throw error instanceof HyprError ? error : new HyprError('HYPR_CANCELLED', 'cancelled');
  }
}

export interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
}

type OutputChunk = ExecSession['output'] extends AsyncIterable<infer Chunk> ? Chunk : never;

/** An engine that does nothing but remember what it was asked, and say what a test tells it to. */
export class FakeEngine {
  readonly calls: Call[] = [];
  readonly events = new AsyncQueue<EngineEvent>();
  replicas: ReplicaStatus[] = [];
  /** Replicas that are gone and have left a log. */
  goneLogs: string[] = [];
  /** Of all stacks. */
  machines: ReplicaDetail[] = [];
  /** What the record of events has; `events` ends after it. */
  recorded: RecordedEvent[] = [];
  volumes: VolumeDetail[] = [];
  networks: NetworkDetail[] = [];
  records: LogRecord[] = [];
  usage: ReplicaUsage[] = [];
  images: Image[] = [];
  login: { username: string; password: string } | undefined;
  checks: DoctorCheck[] = [];
  outline: BuildOutline = { sources: [] };
  targets: BuildTargets = { targets: [], sources: [] };
  edge: EdgeInfo | undefined;
  urls: ReadonlyMap<string, string> = new Map();
  names: NameReport = { domain: 'hypr', reachesPrograms: false, names: [], problems: [] };
  faults: string[] = [];
  space: UsageDetails = { images: [], containers: [], volumes: [], builds: [] };
  findings: BuildCheck['findings'] = [];
  buildEvents: BuildEvent[] = [];
  exitCode = 0;
  /** What `copyFrom` gives. */
  tar: Uint8Array[] = [];
  execOutput: Iterable<OutputChunk> | AsyncIterable<OutputChunk> = [];
  opened = 0;
  isSetUp = true;
  rootScript = 'set -eu\n';
  trust: TrustStatus = {
    domain: 'hypr',
    trust: [],
    proxy: { state: 'free', detail: 'nothing is set' },
    edge: false,
    resolves: false,
    port443: false,
  };
  stacks: StackSummary[] = [
    { name: 'shop', status: 'running(2)', configFiles: ['/shop/compose.yaml'], workingDir: '/shop', envFiles: [], profiles: [] },
    {
      name: 'blog',
      status: 'exited(1), running(2)',
      configFiles: ['/blog/a.yaml', '/blog/b.yaml'],
      ...{ workingDir: '/blog', envFiles: ['/blog/prod.env'], profiles: ['web'] },
    },
  ];
  closed = 0;
  written = '';
  /** What `up` and the verbs do beyond being recorded. */
  onUp: (onEvent: (event: EngineEvent) => void, signal?: AbortSignal) => Promise<void> = async () => {};
  onWatch: ((options: WatchOptions, signal: AbortSignal) => Promise<void>) | undefined;
  onVerb: (verb: string, onEvent: (event: EngineEvent) => void, signal?: AbortSignal) => Promise<void> = async () => {};

  call(name: string): Call | undefined {
    return this.calls.find((call) => call.name === name);
  }

  api(): EngineApi {
    const engine = this;
    return {
      openStack: async ({ name }) => {
        this.opened += 1;
        return this.#stack(name);
      },
      listStacks: async (options) => {
        this.#record('listStacks', options);
        return this.stacks;
      },
      pushArtifact: async (request) => {
        this.#record('pushArtifact', request);
        return `sha256:${'a'.repeat(64)}`;
      },
      fetchComposeFile: async () => '/cache/compose.yaml',
      openImages: async () => this.#imageApi(),
      openObjects: async () => ({
        volumes: () => this.volumes,
        networks: () => this.networks,
        replicas: (reference) =>
          this.machines.filter(({ status }) => reference === undefined || status.name === reference || status.id.startsWith(reference)),
        events: async function* (this: void, options) {
          engine.#record('events', options);
          yield* engine.recorded.filter(({ time }) => time >= (options.since ?? 0) && time <= (options.until ?? Number.POSITIVE_INFINITY));
        },
        recordEvent: (...args) => this.#record('recordEvent', ...args),
        renameReplica: async (...args) => this.#record('renameReplica', ...args),
        updateReplica: async (...args) => this.#record('updateReplica', ...args),
        createNetwork: async (request) => {
          this.#record('createNetwork', request);
          return 'f'.repeat(64);
        },
        removeNetwork: async (...args) => this.#record('removeNetwork', ...args),
        captureNetwork: async () => new PassThrough(),
        connectNetwork: async (...args) => this.#record('connectNetwork', ...args),
        disconnectNetwork: async (...args) => this.#record('disconnectNetwork', ...args),
        createVolume: async (...args) => this.#record('createVolume', ...args),
        removeVolume: async (...args) => this.#record('removeVolume', ...args),
        pruneVolumes: async ({ all }) => (all ? { names: ['old_data'], bytes: 2_000_000 } : { names: ['f00d'], bytes: 1_000_000 }),
      }),
      packFiles: async function* (path, options) {
        yield Buffer.from(`${path} as ${options.name}`);
      },
      unpackFiles: async (_tar, options) => {
        this.#record('unpackFiles', await options.place('file'));
        return 0;
      },
      watch: async (_stack, _project, options, signal) => {
        options.onNotice('Watch enabled');
        await this.onWatch?.(options, signal);
      },
      statTar: async () => 'dir' as const,
      resolveDigest: async () => `sha256:${'0'.repeat(64)}`,
      buildProject: async (...args) => {
        this.#record('buildProject', ...args);
        return {};
      },
      pullProject: async (...args) => this.#record('pullProject', ...args),
      pushProject: async (...args) => this.#record('pushProject', ...args),
      registryLogins: async () => ({
        nameOf: (server) => server ?? 'https://index.docker.io/v1/',
        verify: async () => undefined,
        login: async (...args) => {
          this.#record('login', ...args);
          return { plainFile: '/home/me/.docker/config.json' };
        },
        logout: async (server) => {
          this.#record('logout', server);
          return server !== 'nowhere.example';
        },
        find: async () => this.login,
      }),
      setup: async (onProgress) => {
        onProgress({ id: 'Toolchain', status: 'working', text: 'Fetching' });
        onProgress({ id: 'Toolchain', status: 'done', text: 'Ready' });
        return { toolchain: 'abc', accelerator: 'tcg' };
      },
      homeContent: async () => ({ stacks: ['shop'], volumes: ['shop_data', 'old'] }),
      removeHome: async () => {
        this.#record('removeHome');
        return { home: '/home/me/.hypr', left: [], program: '/usr/lib/node_modules/hypr', isProgramRemoved: false };
      },
      isSetUp: async () => this.isSetUp,
      bundle: async (file) => this.#record('bundle', file),
      doctor: async () => this.checks,
      openTrust: async () => ({
        status: async () => this.trust,
        certificate: async () => '-----BEGIN CERTIFICATE-----\n',
        setupBrowser: async (onStep) => {
          this.#record('setupBrowser');
          onStep({ place: '/home/me/.pki/nssdb', status: 'done', text: 'trusts it now' });
        },
        undoBrowser: async (onStep) => {
          this.#record('undoBrowser');
          onStep({ place: '/home/me/.pki/nssdb', status: 'done', text: 'as it was before' });
        },
        planSystem: async () => ({ script: this.rootScript, kept: ['every user may listen from port 80 on already'] }),
        planUndo: async () => ({ script: this.rootScript, kept: [] }),
        open: async (request) => {
          this.#record('open', request);
          return { url: request.url, why: 'there is no display here' };
        },
        runAsRoot: async (work) => this.#record('runAsRoot', work.script),
      }),
      systemDf: async () => [
        { type: 'Images', total: 3, active: 1, size: 3_000_000, reclaimable: 1_000_000 },
        { type: 'Containers', total: 1, active: 1, size: 0, reclaimable: 0 },
        { type: 'Local Volumes', total: 0, active: 0, size: 0, reclaimable: 0 },
        { type: 'Build Cache', total: 7, active: 0, size: 5000, reclaimable: 5000 },
        { type: 'Templates', total: 4, active: 2, size: 400_000_000, reclaimable: 100_000_000 },
      ],
      systemUsage: async () => this.space,
      prune: async (options) => {
        this.#record('prune', options);
        return { images: ['untagged: app:1', 'deleted: sha256:1'], volumes: [], bytes: 1_200_000 };
      },
      listCards: () => Promise.resolve([]),
      checkHome: async () => this.faults,
      repairHome: async () => {
        this.faults = [];
        return { repaired: ['layer sha256:1'], lost: ['name app:1'], kept: '/h/hypr.db.damaged-1' };
      },
      listUrls: async () => this.urls,
      findUrl: async (request) => {
        this.#record('findUrl', request);
        return { url: 'http://web.shop.localhost:7080/', service: request.service ?? 'web', port: request.port ?? 80, reach: 'localhost' };
      },
      edgeStatus: async () => this.edge,
      listNames: async () => this.names,
      serveDns: async (onListening) => onListening(41_003),
      serveDocker: async (options) => {
        this.#record('serveDocker', options);
      },
      serveNames: async (onHolding) => {
        if (this.edge !== undefined) {
          onHolding(this.edge);
        }
      },
    };
  }

  #record(name: string, ...args: unknown[]): void {
    this.calls.push({ name, args });
  }

  #stack(name: string): Stack {
    const close = async (): Promise<void> => {
      this.closed += 1;
    };
    return {
      name,
      up: async (project, options, onEvent, signal) => {
        this.#record('up', project, options);
        await this.onUp(onEvent, signal);
      },
      down: async (project, options) => this.#record('down', project, options),
      verb: async (verb, project, options, onEvent, signal) => {
        this.#record(verb, project, options);
        await this.onVerb(verb, onEvent, signal);
      },
      plan: async (project, options) => {
        this.#record('plan', project, options);
        return 'create shop-web-1';
      },
      ps: async () => this.replicas,
      volumes: async () => [
        { name: 'shop_cache', path: '/v/shop_cache/data', labels: { a: '1' }, createdAt: NOW, services: ['web'] },
        { name: 'shop_data', path: '/v/shop_data/data.ext4', labels: {}, createdAt: NOW, services: ['db'] },
      ],
      logNames: async () => [...this.replicas.map(({ name }) => name), ...this.goneLogs],
      logs: (options) => {
        this.#record('logs', options);
        const { records } = this;
        return (async function* () {
          yield* records;
        })();
      },
      exec: async (options) => this.#exec(options),
      run: async (project, options, onEvent) => {
        this.#record('run', project, options);
        await this.onUp(onEvent);
        return {
          ...this.#exec({ service: options.service, args: options.args } as ExecOptions),
          id: 'f'.repeat(64),
          name: 'shop-web-run-1',
          started: Promise.resolve(true),
        };
      },
      attach: async (options) => {
        this.#record('attach', options);
        const replica = `shop-${options.service}-1`;
        return { ...this.#exec({ service: options.service } as ExecOptions), replica, tty: false, stdin: true };
      },
      copyTo: async (place, tar) => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of tar) {
          chunks.push(chunk);
        }
        this.#record('copyTo', place, Buffer.concat(chunks));
      },
      copyFrom: (place) => {
        this.#record('copyFrom', place);
        const { tar } = this;
        return (async function* () {
          yield* tar;
        })();
      },
      events: (options, signal) => {
        this.#record('events', options);
        return readEvents(this.events, signal);
      },
      stats: async () => this.usage,
      wait: async (services) => {
        this.#record('wait', services);
        await this.onVerb('wait', () => {});
        return this.exitCode;
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  }

  #exec(options: ExecOptions): ExecSession {
    this.#record('exec', options);
    const { execOutput } = this;
    return {
      output: (async function* () {
        yield* execOutput;
      })(),
      exitCode: Promise.resolve(this.exitCode),
      write: async (data) => {
        this.written += Buffer.from(data).toString();
      },
      closeStdin: () => this.#record('closeStdin'),
      resize: (size) => this.#record('resize', size),
      signal: (signal) => this.#record('signal', signal),
      close: () => this.#record('closeExec'),
    };
  }

  #imageApi(): ImageApi {
    const unknown = async (): Promise<never> => {
      throw new HyprError('IMAGE_NOT_FOUND', 'no such image');
    };
    return {
      changes: async () => [],
      import: async (request) => {
        this.#record('import', request);
        return this.images[0] ?? (await unknown());
      },
      commit: async (request) => {
        this.#record('commit', request);
        return this.images[0] ?? (await unknown());
      },
      pull: async (...args) => {
        this.#record('pull', ...args);
        return this.images;
      },
      push: async (references, options, onProgress) => {
        this.#record('push', references, options);
        return references.map((reference) => {
          onProgress({ id: `Image ${reference}`, status: 'done', text: 'Pushed' });
          return { reference: `docker.io/library/${reference}`, digest: `sha256:${'12'.repeat(32)}`, size: 528, mediaType: 'x' };
        });
      },
      list: async () => this.images,
      history: async () => ({
        id: `sha256:${'ab'.repeat(32)}`,
        steps: [
          { created: NOW - 7_200_000, createdBy: 'CMD ["nginx" "-g" "daemon off;"]', comment: 'buildkit', size: 0 },
          { created: undefined, createdBy: `RUN ${'x'.repeat(60)}\u001b[31m`, comment: '', size: 1_500_000 },
        ],
      }),
      inspect: async (name) => this.images.find((image) => image.references.some((reference) => reference.includes(name))) ?? unknown(),
      remove: async (names, options) => {
        this.#record('remove', names, options);
        return names.map((name) => `Untagged: ${name}`);
      },
      tag: async (...args) => this.#record('tag', ...args),
      load: async (path) => {
        this.#record('load', path);
        return ['docker.io/library/app:1'];
      },
      save: async (...args) => this.#record('save', ...args),
      build: async (request, onEvent) => {
        this.#record('build', request);
        onEvent({ type: 'vertex', id: 1, name: '[1/1] FROM scratch', state: 'done', time: NOW, duration: 100 });
        this.buildEvents.forEach(onEvent);
        return { imageId: `sha256:${'cd'.repeat(32)}`, manifestDigest: 'sha256:1' };
      },
      outline: async (request) => {
        this.#record('outline', request);
        return this.outline;
      },
      targets: async (request) => {
        this.#record('targets', request);
        return this.targets;
      },
      check: async (request) => {
        this.#record('check', request);
        return { file: '/shop/Dockerfile', name: 'Dockerfile', text: 'FROM a\nCMD x\n', findings: this.findings };
      },
    };
  }
}
