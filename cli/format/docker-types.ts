import type { GoType } from './go-view.ts';

/** What docker's `inspect` prints, as its Go types have it (moby's api/types), as far as templates ask for it. */

const TEXTS = { list: 'string' } as const;
const TEXT_MAP = { map: 'string' } as const;
const MARKS = { map: { struct: {} } } as const;

const of = (kinds: {
  readonly string?: string;
  readonly number?: string;
  readonly bool?: string;
  readonly texts?: string;
}): Record<string, GoType> =>
  Object.fromEntries([
    ...names(kinds.string).map((name) => [name, 'string'] as const),
    ...names(kinds.number).map((name) => [name, 'number'] as const),
    ...names(kinds.bool).map((name) => [name, 'bool'] as const),
    ...names(kinds.texts).map((name) => [name, TEXTS] as const),
  ]);

const names = (text: string | undefined): string[] => text?.split(' ') ?? [];

const HEALTHCHECK: GoType = {
  struct: { Test: TEXTS, ...of({ number: 'Interval Timeout StartPeriod StartInterval Retries' }) },
};

const STATE: GoType = {
  struct: {
    Status: 'string',
    ...of({ bool: 'Running Paused Restarting OOMKilled Dead', number: 'Pid ExitCode' }),
    ...of({ string: 'Error StartedAt FinishedAt' }),
    Health: {
      pointer: {
        struct: {
          Status: 'string',
          FailingStreak: 'number',
          Log: { list: { pointer: { struct: { Start: 'string', End: 'string', ExitCode: 'number', Output: 'string' } } } },
        },
      },
    },
  },
};

const PORTS: GoType = { map: { list: { struct: { HostIp: 'string', HostPort: 'string' }, aliases: { HostIP: 'HostIp' } } } };

const CONFIG: Record<string, GoType> = {
  ...of({ string: 'Hostname Domainname User', bool: 'AttachStdin AttachStdout AttachStderr' }),
  ExposedPorts: MARKS,
  ...of({ bool: 'Tty OpenStdin StdinOnce', texts: 'Env Cmd' }),
  Healthcheck: { pointer: HEALTHCHECK },
  ...of({ bool: 'ArgsEscaped', string: 'Image' }),
  Volumes: MARKS,
  WorkingDir: 'string',
  Entrypoint: TEXTS,
  NetworkDisabled: 'bool',
  OnBuild: TEXTS,
  Labels: TEXT_MAP,
  StopSignal: 'string',
  StopTimeout: { pointer: 'number' },
  Shell: TEXTS,
};

const HOST_CONFIG: GoType = {
  struct: {
    Binds: TEXTS,
    ContainerIDFile: 'string',
    LogConfig: { struct: { Type: 'string', Config: TEXT_MAP } },
    NetworkMode: 'string',
    PortBindings: PORTS,
    RestartPolicy: { struct: { Name: 'string', MaximumRetryCount: 'number' } },
    ...of({ bool: 'AutoRemove', string: 'VolumeDriver', texts: 'VolumesFrom' }),
    ConsoleSize: { list: 'number' },
    Annotations: TEXT_MAP,
    ...of({ texts: 'CapAdd CapDrop', string: 'CgroupnsMode' }),
    ...of({ texts: 'Dns DnsOptions DnsSearch ExtraHosts GroupAdd', string: 'IpcMode Cgroup' }),
    ...of({ texts: 'Links', number: 'OomScoreAdj', string: 'PidMode', bool: 'Privileged PublishAllPorts ReadonlyRootfs' }),
    SecurityOpt: TEXTS,
    StorageOpt: TEXT_MAP,
    Tmpfs: TEXT_MAP,
    ...of({ string: 'UTSMode UsernsMode', number: 'ShmSize' }),
    Sysctls: TEXT_MAP,
    ...of({ string: 'Runtime Isolation', number: 'CpuShares Memory NanoCpus BlkioWeight CpuPeriod CpuQuota' }),
    ...of({ string: 'CgroupParent CpusetCpus CpusetMems' }),
    ...of({ number: 'CpuRealtimePeriod CpuRealtimeRuntime MemoryReservation MemorySwap CpuCount CpuPercent' }),
    Devices: { list: { struct: of({ string: 'PathOnHost PathInContainer CgroupPermissions' }) } },
    DeviceCgroupRules: TEXTS,
    DeviceRequests: { list: { struct: { Driver: 'string', Count: 'number', DeviceIDs: TEXTS } } },
    MemorySwappiness: { pointer: 'number' },
    OomKillDisable: { pointer: 'bool' },
    PidsLimit: { pointer: 'number' },
    Ulimits: { list: { struct: of({ string: 'Name', number: 'Hard Soft' }) } },
    Mounts: { list: { struct: of({ string: 'Type Source Target', bool: 'ReadOnly' }) } },
    ...of({ texts: 'MaskedPaths ReadonlyPaths' }),
    Init: { pointer: 'bool' },
  },
  aliases: {
    CPUShares: 'CpuShares',
    NanoCPUs: 'NanoCpus',
    CPUPeriod: 'CpuPeriod',
    CPUQuota: 'CpuQuota',
    DNS: 'Dns',
    DNSOptions: 'DnsOptions',
    DNSSearch: 'DnsSearch',
  },
};

const ENDPOINT: GoType = {
  struct: {
    IPAMConfig: { pointer: { struct: of({ string: 'IPv4Address IPv6Address', texts: 'LinkLocalIPs' }) } },
    ...of({ texts: 'Links Aliases' }),
    DriverOpts: TEXT_MAP,
    ...of({ number: 'GwPriority', string: 'NetworkID EndpointID Gateway IPAddress MacAddress' }),
    IPPrefixLen: 'number',
    ...of({ string: 'IPv6Gateway GlobalIPv6Address', number: 'GlobalIPv6PrefixLen', texts: 'DNSNames' }),
  },
};

/** `docker inspect` of a container. The addresses beside `Networks` are those of docker's own bridge, which nothing here is on. */
export const CONTAINER: GoType = {
  struct: {
    ...of({ string: 'Id Created Path', texts: 'Args' }),
    State: { pointer: STATE },
    ...of({ string: 'Image ResolvConfPath HostnamePath HostsPath LogPath Name', number: 'RestartCount' }),
    ...of({ string: 'Driver Platform MountLabel ProcessLabel AppArmorProfile', texts: 'ExecIDs' }),
    HostConfig: { pointer: HOST_CONFIG },
    GraphDriver: { pointer: { struct: { Name: 'string', Data: TEXT_MAP } } },
    SizeRw: { pointer: 'number' },
    SizeRootFs: { pointer: 'number' },
    Mounts: { list: { struct: { ...of({ string: 'Type Name Source Destination Driver Mode', bool: 'RW' }), Propagation: 'string' } } },
    Config: { pointer: { struct: CONFIG } },
    NetworkSettings: {
      pointer: {
        struct: {
          ...of({ string: 'SandboxID SandboxKey' }),
          Ports: PORTS,
          ...of({ string: 'Bridge EndpointID Gateway GlobalIPv6Address IPAddress IPv6Gateway MacAddress' }),
          ...of({ number: 'IPPrefixLen GlobalIPv6PrefixLen', bool: 'HairpinMode' }),
          Networks: { map: { pointer: ENDPOINT } },
        },
      },
    },
  },
};

export const IMAGE: GoType = {
  struct: {
    ...of({ string: 'Id', texts: 'RepoTags RepoDigests' }),
    ...of({ string: 'Comment Created Author' }),
    Config: { pointer: { struct: CONFIG } },
    ...of({ string: 'Architecture Variant Os OsVersion', number: 'Size' }),
    GraphDriver: { pointer: { struct: { Name: 'string', Data: TEXT_MAP } } },
    RootFS: { struct: { Type: 'string', Layers: TEXTS } },
    Metadata: { struct: { LastTagTime: 'string' } },
  },
};

export const VOLUME: GoType = {
  struct: {
    ...of({ string: 'CreatedAt Driver' }),
    Labels: TEXT_MAP,
    ...of({ string: 'Mountpoint Name' }),
    Options: TEXT_MAP,
    Scope: 'string',
    Status: TEXT_MAP,
    UsageData: { pointer: { struct: of({ number: 'RefCount Size' }) } },
  },
};

export const NETWORK: GoType = {
  struct: {
    ...of({ string: 'Name Id Created Scope Driver', bool: 'EnableIPv4 EnableIPv6' }),
    IPAM: {
      struct: {
        Driver: 'string',
        Options: TEXT_MAP,
        Config: {
          list: {
            struct: { ...of({ string: 'Subnet IPRange Gateway' }), AuxiliaryAddresses: TEXT_MAP },
            aliases: { AuxAddress: 'AuxiliaryAddresses' },
          },
        },
      },
    },
    ...of({ bool: 'Internal Attachable Ingress' }),
    ConfigFrom: { struct: { Network: 'string' } },
    ConfigOnly: 'bool',
    Options: TEXT_MAP,
    Labels: TEXT_MAP,
    Peers: { list: { struct: of({ string: 'Name IP' }) } },
    Containers: { map: { struct: of({ string: 'Name EndpointID MacAddress IPv4Address IPv6Address' }) } },
    Services: { map: { struct: {} } },
  },
};
