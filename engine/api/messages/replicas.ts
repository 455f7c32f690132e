import type { ReplicaStatus, ReplicaUsage } from '../../model/events.ts';
import type { ReplicaJson, UsageJson } from '../gen/hypr_pb.ts';
import { double, fromEnum, neededText, optionalDouble, present, type Sent, toEnum } from './values.ts';

/** Conversion of replicas and their usage to messages and back. Reading throws SUPERVISOR_VERSION. */

export const replicaJson = (status: ReplicaStatus): Sent<ReplicaJson> => ({
  ...status,
  state: toEnum('REPLICA_STATE', status.state),
  health: toEnum('HEALTH', status.health),
  ports: status.ports.map((port) => ({ ...port, protocol: toEnum('PROTOCOL', port.protocol) })),
  stall: status.stall && { ...status.stall, kind: toEnum('STALL_KIND', status.stall.kind) },
});

export const replicaFrom = (json: ReplicaJson): ReplicaStatus => ({
  id: neededText(json.id, 'the id of a replica'),
  name: neededText(json.name, 'the name of a replica'),
  service: neededText(json.service, 'the service of a replica'),
  number: json.number ?? 0,
  oneOff: json.oneOff ?? false,
  image: json.image ?? '',
  imageId: json.imageId ?? '',
  command: json.command ?? [],
  state: fromEnum('REPLICA_STATE', neededText(json.state, 'the state of a replica'), 'dead'),
  health: fromEnum('HEALTH', json.health, 'none'),
  exitCode: json.exitCode ?? 0,
  restarts: json.restarts ?? 0,
  createdAt: double(json.createdAt),
  addresses: (json.addresses ?? []).map(({ network = '', address = '', mac = '' }) => ({ network, address, mac })),
  ports: (json.ports ?? []).map(({ protocol, hostAddress = '', hostPort = 0, port = 0 }) => ({
    protocol: fromEnum('PROTOCOL', protocol, 'tcp'),
    hostAddress,
    hostPort,
    port,
  })),
  exposed: json.exposed ?? [],
  labels: json.labels ?? {},
  mounts: json.mounts ?? [],
  volumes: json.volumes ?? [],
  ...present({
    reason: json.reason,
    startedAt: optionalDouble(json.startedAt),
    finishedAt: optionalDouble(json.finishedAt),
    bootMs: optionalDouble(json.bootMs),
    listeners: json.listeners?.map(({ port = 0, address = '' }) => ({ port, address })),
    startSpans: json.startSpans?.map(({ name = '', ms }) => ({ name, ms: double(ms) })),
    stall: json.stall && { kind: fromEnum('STALL_KIND', json.stall.kind, 'silent'), since: double(json.stall.since) },
  }),
});

export const usageFrom = (json: UsageJson): ReplicaUsage => ({
  replica: neededText(json.replica, 'the replica of a usage'),
  cpu: double(json.cpu),
  memory: double(json.memory),
  memoryLimit: double(json.memoryLimit),
  hostMemory: double(json.hostMemory),
  netRx: double(json.netRx),
  netTx: double(json.netTx),
  blockRead: double(json.blockRead),
  blockWrite: double(json.blockWrite),
  pids: json.pids ?? 0,
});
