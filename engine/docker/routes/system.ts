import type { RecordedEvent } from '../../model/events.ts';
import type { UsageRow } from '../../model/types.ts';
import { DOCKER_API_VERSION, DOCKER_VERSION, VERSION } from '../../model/version.ts';
import { ApiError } from '../http/errors.ts';
import { compileFilters, hasLabel, type Judges } from '../http/filters.ts';
import type { Query } from '../http/query.ts';
import type { Call, Handler, Routes } from '../http/router.ts';
import { OLDEST } from '../http/router.ts';
import type { Host } from '../machines/host.ts';
import { summariseReplica } from '../shapes/container-list.ts';
import { eventMessage } from '../shapes/event.ts';
import { summariseImage } from '../shapes/image-list.ts';
import { architecture, describeHost, describeProxies, systemName } from '../shapes/info.ts';
import { familiarName, imageRepository } from '../shapes/names.ts';
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

const ofType = (type: RecordedEvent['type']) => (event: RecordedEvent, value: string) => event.type === type && isNamed(event, value);
const never = (): boolean => false;

const EVENT_JUDGES: Judges<RecordedEvent> = {
  type: (event, value) => event.type === value,
  event: (event, value) => event.action === value || event.action.startsWith(`${value}:`),
  container: ofType('container'),
  image: (event, value) => (event.type === 'image' ? isNamed(event, value) : isOfImage(event.attributes.image ?? '', value)),
  network: ofType('network'),
  volume: ofType('volume'),
  label: (event, value) => hasLabel(event.attributes, value),
  scope: (_, value) => value === 'local',
  ...{ config: never, daemon: never, node: never, plugin: never, secret: never, service: never },
};

/** By what its name or id begins with, as docker. */
const isNamed = ({ id, attributes }: RecordedEvent, value: string): boolean =>
  id.startsWith(value) || attributes.name?.startsWith(value) === true;

const isOfImage = (image: string, value: string): boolean =>
  image !== '' && [image, imageRepository(image).repository].includes(familiarName(value));

const streamEvents = async (host: Host, { query, reply, signal }: Call): Promise<void> => {
  const matches = compileFilters(query, EVENT_JUDGES);
  const [since, until] = [eventTime(query, 'since'), eventTime(query, 'until')];
  if (since !== undefined && until !== undefined && since > until) {
    throw new ApiError(400, `\`since\` time (${query.text('since')}) cannot be after \`until\` time (${query.text('until')})`);
  }
  const sink = reply.stream('application/json');
  for await (const event of host.events.follow({ since, until, signal })) {
    if (matches(event)) {
      await sink.write(`${JSON.stringify(eventMessage(event))}\n`);
    }
  }
  sink.end();
};

/** The second before 1970 is docker's word for none. */
const eventTime = (query: Query, name: string): number | undefined => {
  const time = query.moment(name);
  return time !== undefined && time >= -1000 && time < 0 ? undefined : time;
};

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
