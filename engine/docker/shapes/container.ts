import { constants } from 'node:os';
import { sharedNetworkKey } from '../../model/network-key.ts';
import type { NetworkDetail, ReplicaDetail } from '../../model/types.ts';
import { projectLabels } from '../../state/project-labels.ts';
import { stateWord } from './status.ts';

type ReplicaMount = ReplicaDetail['spec']['mounts'][number];

/** A replica with the keys of `docker inspect` that have a meaning for a microVM. */
export const inspectReplica = (detail: ReplicaDetail): Record<string, unknown> => {
  const { status, spec } = detail;
  return {
    Id: status.id,
    Created: timeOf(status.createdAt),
    Path: status.command[0] ?? '',
    Args: status.command.slice(1),
    State: stateOf(detail),
    Image: status.imageId,
    LogPath: detail.logPath,
    Name: `/${status.name}`,
    RestartCount: status.restarts,
    Driver: 'erofs',
    Platform: 'linux',
    HostConfig: hostConfigOf(detail),
    Mounts: [...spec.mounts.map((mount) => mountOf(mount, detail.volumes)), ...spec.files.flatMap(fileMount)],
    Config: {
      Hostname: spec.hostname,
      Domainname: spec.domainname ?? '',
      User: spec.process.user,
      ExposedPorts: Object.fromEntries([...spec.exposed, ...spec.ports.map(portKey)].map((port) => [port, {}])),
      Tty: spec.process.tty,
      OpenStdin: spec.process.stdin,
      Env: spec.process.env,
      Cmd: status.command,
      ...(spec.health === undefined ? {} : { Healthcheck: healthcheckOf(spec.health) }),
      Image: status.image,
      WorkingDir: spec.process.cwd,
      Labels: labelsOf(detail),
      StopSignal: signalName(spec.stopSignal),
      StopTimeout: spec.stopGraceMs / 1000,
    },
    NetworkSettings: { Ports: portsOf(detail), Networks: networksOf(detail) },
  };
};

const stateOf = ({ status, pid }: ReplicaDetail): Record<string, unknown> => {
  const word = stateWord(status);
  return {
    Status: word,
    Running: word === 'running' || word === 'paused',
    Paused: word === 'paused',
    Restarting: word === 'restarting',
    OOMKilled: status.oomKilled === true,
    Dead: word === 'dead',
    Pid: pid ?? 0,
    ExitCode: status.exitCode,
    Error: status.reason ?? '',
    StartedAt: timeOf(status.startedAt),
    FinishedAt: timeOf(status.finishedAt),
    ...(status.health === 'none' ? {} : { Health: { Status: status.health, FailingStreak: 0, Log: [] } }),
  };
};

/** docker prints Go's zero time for "never". */
const timeOf = (time: number | undefined): string => (time === undefined ? '0001-01-01T00:00:00Z' : new Date(time).toISOString());

const portKey = ({ port, protocol }: { port: number; protocol: string }): string => `${port}/${protocol}`;

/** Whatever path was mounted. */
const DOCKER_SOCKET = '/var/run/docker.sock';

/** Docker's way to say that a container has the network of another. */
export const sharedMode = ({ machineOf }: ReplicaDetail): string | undefined =>
  machineOf === undefined ? undefined : `container:${machineOf}`;

const hostConfigOf = (detail: ReplicaDetail): Record<string, unknown> => ({
  NetworkMode: sharedMode(detail) ?? detail.networks[0]?.name ?? 'none',
  IpcMode: (detail.spec.shares?.ipc === true ? sharedMode(detail) : undefined) ?? 'private',
  ...limitsOf(detail),
});

const limitsOf = ({ spec }: ReplicaDetail): Record<string, unknown> => ({
  PortBindings: Object.fromEntries(
    spec.ports.map((port) => [
      portKey(port),
      [{ HostIp: port.hostAddress, HostPort: port.hostPorts[0] === 0 ? '' : String(port.hostPorts[0]) }],
    ]),
  ),
  RestartPolicy: { Name: spec.restart.condition, MaximumRetryCount: spec.restart.maxAttempts },
  AutoRemove: spec.autoRemove !== undefined,
  Binds: spec.mounts.flatMap((mount) => {
    const source = mount.kind === 'bind' ? mount.source : mount.kind === 'docker' ? DOCKER_SOCKET : undefined;
    // Empty: it is not told to whoever asks.
    return source === undefined || source === '' ? [] : [`${source}:${mount.target}:${mount.readOnly ? 'ro' : 'rw'}`];
  }),
  CapAdd: spec.process.capAdd ?? [],
  CapDrop: spec.process.capDrop ?? [],
  Dns: spec.dns,
  DnsOptions: spec.dnsOptions,
  DnsSearch: spec.dnsSearch,
  ExtraHosts: spec.extraHosts.flatMap(({ address, names }) => names.map((name) => `${name}:${address}`)),
  Privileged: spec.process.privileged === true,
  ReadonlyRootfs: spec.readOnly,
  ShmSize: spec.shmSize ?? 0,
  ...(spec.diskMib === undefined ? {} : { StorageOpt: { size: `${spec.diskMib}m` } }),
  Sysctls: spec.sysctls,
  Memory: (spec.memoryMib ?? 0) * 2 ** 20,
  NanoCpus: (spec.vcpus ?? 0) * 1e9,
  LogConfig: { Type: 'json-file', Config: {} },
  Init: spec.process.init === true,
  GroupAdd: spec.process.groups,
});

const mountOf = (mount: ReplicaMount, volumes: ReplicaDetail['volumes']): Record<string, unknown> => {
  const { target, readOnly } = mount;
  // As docker compose mounts volumes: in the long form, with `z`.
  const ofVolume = { Destination: target, Driver: 'local', Mode: 'z', RW: !readOnly, Propagation: '' };
  const common = {
    Destination: target,
    Mode: mount.kind === 'bind' && mount.synced !== undefined ? 'synced' : '',
    RW: !readOnly,
    Propagation: mount.kind === 'bind' ? 'rprivate' : '',
  };
  switch (mount.kind) {
    case 'volume':
      return { Type: 'volume', Name: mount.volume, Source: volumes[mount.volume] ?? '', ...ofVolume };
    case 'anonymous':
      return { Type: 'volume', Name: '', Source: '', ...ofVolume };
    case 'image':
      return { Type: 'image', Source: mount.image, ...common };
    case 'bind':
      return { Type: 'bind', Source: mount.source, ...common };
    case 'docker':
      return { Type: 'bind', Source: DOCKER_SOCKET, ...common };
    case 'tmpfs':
      return { Type: 'tmpfs', Source: '', ...common };
  }
};

/** A secret or config from a file; it is a copy, and what docker shows is the file. */
const fileMount = ({ source, path }: ReplicaDetail['spec']['files'][number]): Record<string, unknown>[] =>
  'file' in source ? [{ Type: 'bind', Source: source.file, Destination: path, Mode: '', RW: false, Propagation: 'rprivate' }] : [];

const healthcheckOf = (health: NonNullable<ReplicaDetail['spec']['health']>): Record<string, unknown> => {
  const nanoseconds = (ms: number): number => ms * 1e6;
  return {
    Test: isShell(health.args) ? ['CMD-SHELL', health.args[2]] : ['CMD', ...health.args],
    Interval: nanoseconds(health.interval),
    Timeout: nanoseconds(health.timeout),
    StartPeriod: nanoseconds(health.startPeriod),
    StartInterval: nanoseconds(health.startInterval),
    Retries: health.retries,
  };
};

/** The user's labels and, unless it stands alone, those that docker compose adds. */
export const labelsOf = ({ status, stack, configHash, standalone }: ReplicaDetail): Record<string, string> => ({
  ...status.labels,
  ...(standalone ? {} : projectLabels({ ...status, stack, configHash })),
});

const signalName = (number: number): string =>
  Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? String(number);

/** Published ports with their host addresses; others are null. */
const portsOf = ({ status, spec }: ReplicaDetail): Record<string, unknown> => {
  const ports: Record<string, Array<{ HostIp: string; HostPort: string }> | null> = Object.fromEntries(
    spec.exposed.map((port) => [port, null]),
  );
  for (const port of status.ports) {
    const key = portKey(port);
    ports[key] = [...(ports[key] ?? []), { HostIp: port.hostAddress, HostPort: String(port.hostPort) }];
  }
  return ports;
};

const networksOf = ({ networks, spec, status }: ReplicaDetail): Record<string, unknown> =>
  Object.fromEntries(networks.map((network) => [network.name, endpointOf(network, status.id, spec)]));

/** Whether a replica's key is that of this network: of its stack, or a shared one. */
const isOn = (key: string, network: NetworkDetail): boolean =>
  network.stack === '' ? key === sharedNetworkKey(network.name) : network.labels['com.docker.compose.network'] === key;

/** What the file asked for: `ipv4_address`. */
const ipamConfigOf = (network: NetworkDetail, spec: ReplicaDetail['spec']): Record<string, unknown> | null => {
  const wanted = spec.networks.find(({ key }) => isOn(key, network))?.address;
  return wanted === undefined ? null : { IPv4Address: wanted };
};

const endpointOf = (network: NetworkDetail, id: string, spec: ReplicaDetail['spec']): Record<string, unknown> => {
  const member = network.members.find((each) => each.id === id);
  // Its own name is told apart from those that were asked for, as docker does.
  const aliases = spec.networks.flatMap((each) => (isOn(each.key, network) ? each.aliases : [])).filter((name) => name !== spec.name);
  return {
    IPAMConfig: ipamConfigOf(network, spec),
    Aliases: aliases.length === 0 ? null : aliases,
    DNSNames: [spec.name, ...aliases],
    MacAddress: member?.mac ?? '',
    NetworkID: network.id,
    EndpointID: '',
    Gateway: network.internal ? '' : network.gateway,
    IPAddress: member?.address ?? '',
    IPPrefixLen: Number(network.subnet.split('/')[1]),
    IPv6Gateway: '',
    GlobalIPv6Address: '',
  };
};

/** A test that was a text is run so. */
const isShell = (args: readonly string[]): boolean => args.length === 3 && args[0] === '/bin/sh' && args[1] === '-c';
