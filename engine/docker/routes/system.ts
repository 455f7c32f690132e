import { afterLong } from '../../../base/long-timer.ts';
import type { UsageRow } from '../../model/types.ts';
import { DOCKER_API_VERSION, DOCKER_VERSION, VERSION } from '../../model/version.ts';
import { ApiError } from '../http/errors.ts';
import { compileFilters } from '../http/filters.ts';
import type { Call, Handler, Routes } from '../http/router.ts';
import { OLDEST } from '../http/router.ts';
import type { DockerEvent } from '../machines/events.ts';
import type { Host } from '../machines/host.ts';
import { summariseReplica } from '../shapes/container-list.ts';
import { summariseImage } from '../shapes/image-list.ts';
import { architecture, describeHost, describeProxies, systemName } from '../shapes/info.ts';
import { inspectVolume } from '../shapes/volume.ts';

/** The daemon that docker's clients think they talk to. */
export const systemRoutes = (host: Host): Routes => ({
  'GET /_ping': ping,
  'HEAD /_ping': ping,
  'GET /version': async ({ reply }) => reply.json(await versionOf()),
  'GET /info': async ({ reply }) => reply.json(await infoOf(host)),
  'GET /events': (call) => streamEvents(host, call),
  'GET /system/df': (call) => diskUsage(host, call),
  'POST /auth': (call) => checkLogin(call),
  ...Object.fromEntries(SWARM.map((route) => [route, noSwarm])),
  'GET /plugins': ({ reply }) => reply.json([]),
});

/** What only a swarm has. Clients leave it without asking first whether they are in one, and take 503 for an answer. */
const SWARM: readonly string[] = [
  ...['swarm', 'nodes', 'services', 'tasks', 'secrets', 'configs'].map((kind) => `GET /${kind}`),
  ...['init', 'join', 'leave', 'update', 'unlock'].map((verb) => `POST /swarm/${verb}`),
  ...['services', 'secrets', 'configs'].map((kind) => `POST /${kind}/create`),
];

const noSwarm = (): never => {
  throw new ApiError(503, 'This node is not a swarm manager. hypr runs on one host.');
};

const ping: Handler = ({ reply }) => {
  const sink = reply.stream('text/plain; charset=utf-8', {
    'Builder-Version': '2',
    Swarm: 'inactive',
    'Cache-Control': 'no-cache, no-store, must-revalidate',
    Pragma: 'no-cache',
    'Content-Length': '2',
  });
  void sink.write('OK');
  sink.end();
};

const versionOf = async (): Promise<unknown> => {
  const { KernelVersion } = describeHost([], 0, '');
  const common = { ApiVersion: DOCKER_API_VERSION, MinAPIVersion: `1.${OLDEST}` };
  const system = { Os: 'linux', Arch: goArchitecture(), KernelVersion };
  return {
    Platform: { Name: `hypr ${VERSION}` },
    Version: DOCKER_VERSION,
    ...common,
    ...system,
    GitCommit: `hypr-${VERSION}`,
    GoVersion: '',
    Experimental: false,
    BuildTime: '',
    Components: [
      {
        Name: 'Engine',
        Version: DOCKER_VERSION,
        Details: { ...common, ...system, Experimental: 'false', GitCommit: `hypr-${VERSION}`, GoVersion: '', BuildTime: '' },
      },
    ],
  };
};

/** As Go calls it. */
const goArchitecture = (): string => ({ x86_64: 'amd64', aarch64: 'arm64' })[architecture()] ?? architecture();

const infoOf = async (host: Host): Promise<unknown> => {
  const images = await (await host.images()).list();
  const { ClientInfo: _, ...info } = describeHost(host.objects.replicas(), images.length, await systemName());
  return {
    ...info,
    ServerVersion: DOCKER_VERSION,
    MemoryLimit: true,
    SwapLimit: false,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: false,
    CPUSet: false,
    PidsLimit: false,
    OomKillDisable: false,
    IPv4Forwarding: true,
    Debug: false,
    NFd: 0,
    NGoroutines: 0,
    NEventsListener: 0,
    SystemTime: new Date().toISOString(),
    CgroupDriver: 'none',
    CgroupVersion: '2',
    OSVersion: '',
    RegistryConfig: {
      InsecureRegistryCIDRs: ['127.0.0.0/8'],
      IndexConfigs: { 'docker.io': { Name: 'docker.io', Mirrors: [], Secure: true, Official: true } },
      Mirrors: [],
    },
    GenericResources: null,
    ...describeProxies(host.isHidden ? {} : process.env),
    Runtimes: { microvm: { path: 'hypr' } },
    DefaultRuntime: 'microvm',
    InitBinary: 'kestrel',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: '' },
    InitCommit: { ID: '' },
    SecurityOptions: ['name=microvm'],
    Warnings: [],
    ...(host.isHidden ? HIDDEN_HOST : {}),
  };
};

/** What a machine of this host gets instead. */
const HIDDEN_HOST = { ID: 'hypr', Name: 'hypr', DockerRootDir: '/var/lib/docker' };

const EVENT_JUDGES = {
  type: (event: DockerEvent, value: string) => event.type === value,
  event: (event: DockerEvent, value: string) => event.action === value || event.action.startsWith(`${value}:`),
  container: (event: DockerEvent, value: string) => event.type === 'container' && isNamed(event, value),
  image: (event: DockerEvent, value: string) => (event.type === 'image' ? isNamed(event, value) : event.attributes.image === value),
  network: (event: DockerEvent, value: string) => event.type === 'network' && isNamed(event, value),
  volume: (event: DockerEvent, value: string) => event.type === 'volume' && isNamed(event, value),
  label: (event: DockerEvent, value: string) => {
    const [key = '', ...rest] = value.split('=');
    return Object.hasOwn(event.attributes, key) && (rest.length === 0 || event.attributes[key] === rest.join('='));
  },
  scope: (_: DockerEvent, value: string) => value === 'local',
  daemon: () => false,
};

const isNamed = (event: DockerEvent, value: string): boolean =>
  event.attributes.name === value || event.id === value || (value.length >= 4 && event.id.startsWith(value));

const streamEvents = async (host: Host, { query, reply, signal }: Call): Promise<void> => {
  const matches = compileFilters(query, EVENT_JUDGES);
  const [since, until] = [query.moment('since'), query.moment('until')];
  const sink = reply.stream('application/json');
  const send = (event: DockerEvent): void => {
    if (matches(event) && (until === undefined || event.time <= until)) {
      void sink.write(`${JSON.stringify(eventMessage(event))}\n`);
    }
  };
  if (since !== undefined) {
    host.events.since(since).forEach(send);
  }
  const left = until === undefined ? undefined : until - Date.now();
  if (left !== undefined && left <= 0) {
    return sink.end();
  }
  const end = host.events.listen(send);
  await new Promise<void>((resolve) => {
    const stopWaiting = left === undefined ? () => {} : afterLong(left, resolve);
    signal.addEventListener('abort', () => {
      stopWaiting();
      resolve();
    });
  });
  end();
  sink.end();
};

/** The older members stand beside the newer ones, as docker has them. */
const eventMessage = ({ type, action, id, attributes, time }: DockerEvent): unknown => ({
  ...(type === 'container' || type === 'image'
    ? { status: action, id, ...(attributes.image === undefined ? {} : { from: attributes.image }) }
    : {}),
  Type: type,
  Action: action,
  Actor: { ID: id, Attributes: attributes },
  scope: 'local',
  time: Math.floor(time / 1000),
  timeNano: Math.round(time * 1e6),
});

const diskUsage = async (host: Host, { query, reply }: Call): Promise<void> => {
  const asked = query.list('type');
  const wants = (type: string): boolean => asked.length === 0 || asked.includes(type);
  const { measureSystem } = await import('../../client/storage.ts');
  const rows = await measureSystem();
  const sizeOf = (type: UsageRow['type']): number => rows.find((row) => row.type === type)?.size ?? 0;
  const replicas = host.objects.replicas();
  const images = wants('image') ? await (await host.images()).list() : [];
  const count = (id: string): number => replicas.filter(({ status }) => status.imageId === id).length;
  reply.json({
    LayersSize: sizeOf('Images'),
    Images: images.map((image) => ({ ...summariseImage(image, count(image.id)), SharedSize: 0 })),
    Containers: wants('container') ? replicas.map((each) => ({ ...summariseReplica(each, Date.now()), SizeRw: 0, SizeRootFs: 0 })) : [],
    Volumes: wants('volume')
      ? host.objects.volumes().map((volume) => ({ ...inspectVolume(volume), UsageData: { RefCount: volume.users.length, Size: -1 } }))
      : [],
    BuildCache: [],
    BuilderSize: sizeOf('Build Cache'),
  });
};

/** Checks credentials and keeps nothing: hypr reads them where docker's client writes them. */
const checkLogin = async ({ body, reply, signal }: Call): Promise<void> => {
  const { username = '', password = '', serveraddress, identitytoken } = await body.json();
  const { registryLogins } = await import('../../client/whole-engine.ts');
  const logins = await registryLogins();
  const credentials = identitytoken ? { identityToken: String(identitytoken) } : { username: String(username), password: String(password) };
  const token = await logins.verify(
    serveraddress === undefined ? undefined : String(serveraddress),
    credentials as Parameters<typeof logins.verify>[1],
    signal,
  );
  reply.json({ Status: 'Login Succeeded', IdentityToken: token ?? '' });
};
