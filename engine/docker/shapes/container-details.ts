import type { ReplicaDetail } from '../../model/types.ts';
import { inspectReplica, sharedMode } from './container.ts';
import { familiarName } from './names.ts';

type Keys = Record<string, unknown>;

/** What docker's API has beyond what a microVM has a meaning for, because strictly typed clients look for it. */
export const inspectContainer = (detail: ReplicaDetail, execIds: readonly string[]): Keys => {
  const whole = inspectReplica(detail);
  const { status, spec } = detail;
  return {
    ...whole,
    ResolvConfPath: '',
    HostnamePath: '',
    HostsPath: '',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: execIds.length === 0 ? null : execIds,
    GraphDriver: { Name: 'erofs', Data: null },
    HostConfig: {
      ...NO_LIMITS,
      ConsoleSize: [spec.process.size?.rows ?? 0, spec.process.size?.columns ?? 0],
      ...(whole.HostConfig as Keys),
      ...detail.asked,
      NetworkMode: networkMode(detail),
    },
    Config: {
      AttachStdin: spec.stdinOnce === true,
      AttachStdout: true,
      AttachStderr: true,
      StdinOnce: spec.stdinOnce === true,
      Volumes: null,
      Entrypoint: null,
      OnBuild: null,
      ...(whole.Config as Keys),
      Image: familiarName(status.image),
    },
    NetworkSettings: { ...NO_BRIDGE, ...addressOf(detail), ...(whole.NetworkSettings as Keys) },
  };
};

/** docker's word for its own default is `bridge` here, too. */
const networkMode = (detail: ReplicaDetail): string => {
  const { networks, spec } = detail;
  const first = spec.networks.find(({ isDefault }) => isDefault) ?? spec.networks[0];
  return first === undefined ? (sharedMode(detail) ?? 'none') : (networks.find(({ name }) => first.key.endsWith(name))?.name ?? 'bridge');
};

const addressOf = ({ networks, status }: ReplicaDetail): Keys => {
  const [network] = networks;
  const member = network?.members.find(({ id }) => id === status.id);
  return network === undefined || member === undefined
    ? {}
    : {
        Gateway: network.gateway,
        IPAddress: member.address,
        IPPrefixLen: Number(network.subnet.split('/')[1]),
        MacAddress: member.mac,
      };
};

const NO_BRIDGE: Keys = {
  Bridge: '',
  SandboxID: '',
  SandboxKey: '',
  HairpinMode: false,
  LinkLocalIPv6Address: '',
  LinkLocalIPv6PrefixLen: 0,
  SecondaryIPAddresses: null,
  SecondaryIPv6Addresses: null,
  EndpointID: '',
  Gateway: '',
  GlobalIPv6Address: '',
  GlobalIPv6PrefixLen: 0,
  IPAddress: '',
  IPPrefixLen: 0,
  IPv6Gateway: '',
  MacAddress: '',
};

const NO_LIMITS: Keys = {
  ContainerIDFile: '',
  VolumeDriver: '',
  VolumesFrom: null,
  CgroupnsMode: 'private',
  IpcMode: 'private',
  Cgroup: '',
  Links: null,
  OomScoreAdj: 0,
  PidMode: '',
  PublishAllPorts: false,
  SecurityOpt: null,
  UTSMode: '',
  UsernsMode: '',
  Runtime: 'microvm',
  Isolation: '',
  CpuShares: 0,
  CgroupParent: '',
  BlkioWeight: 0,
  CpuPeriod: 0,
  CpuQuota: 0,
  CpusetCpus: '',
  CpusetMems: '',
  Devices: null,
  DeviceRequests: null,
  MemoryReservation: 0,
  MemorySwap: 0,
  MemorySwappiness: null,
  OomKillDisable: null,
  PidsLimit: null,
  Ulimits: null,
  MaskedPaths: null,
  ReadonlyPaths: null,
};
