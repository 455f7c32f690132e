import type { ReplicaDetail } from '../../model/types.ts';
import { inspectReplica, labelsOf } from './container.ts';
import { familiarName } from './names.ts';
import { formatStatus, joinCommand, stateWord } from './status.ts';

/** A container as `GET /containers/json` lists it. */
export const summariseReplica = (detail: ReplicaDetail, now: number): Record<string, unknown> => {
  const { status } = detail;
  const whole = inspectReplica(detail);
  const { NetworkMode } = whole.HostConfig as { NetworkMode: string };
  const { Networks } = whole.NetworkSettings as { Networks: unknown };
  return {
    Id: status.id,
    Names: [`/${status.name}`],
    Image: familiarName(status.image),
    ImageID: status.imageId,
    Command: joinCommand(status.command),
    Created: Math.floor(status.createdAt / 1000),
    Ports: portsOf(detail),
    Labels: labelsOf(detail),
    State: stateWord(status),
    Status: formatStatus(status, now),
    HostConfig: { NetworkMode },
    NetworkSettings: { Networks },
    Mounts: whole.Mounts,
  };
};

const portsOf = ({ status }: ReplicaDetail): unknown[] => [
  ...status.ports.map((port) => ({ IP: port.hostAddress, PrivatePort: port.port, PublicPort: port.hostPort, Type: port.protocol })),
  ...status.exposed
    .map((text) => text.split('/'))
    .filter(([port, protocol = 'tcp']) => !status.ports.some((other) => other.port === Number(port) && other.protocol === protocol))
    .map(([port, protocol = 'tcp']) => ({ PrivatePort: Number(port), Type: protocol })),
];
