import { sanitiseName } from '../../base/sanitise.ts';
import { familiarName, shortId } from '../../engine/docker/shapes/names.ts';
import { formatStatus, joinCommand, psState } from '../../engine/docker/shapes/status.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import { formatPorts } from './ports.ts';
import { goTime } from './time.ts';
import { ago } from './units.ts';

/** At most `width` code points; the last one is an ellipsis if the text is cut. */
export const ellipsis = (text: string, width: number): string => {
  const runes = [...text];
  return runes.length <= width ? text : `${runes.slice(0, width - 1).join('')}…`;
};

export type PsRow = Readonly<Record<string, unknown>>;

/** All getters of docker compose's container formatter, in the alphabetical order Go's JSON gives them, and the addresses. */
export const psRow = (replica: ReplicaStatus, options: { stack: string; now: number; noTrunc: boolean }): PsRow => {
  const command = sanitiseName(joinCommand(replica.command));
  const mounts = replica.mounts.map((mount) => (options.noTrunc ? mount : ellipsis(mount, 15)));
  return {
    Addresses: replica.addresses.map(({ network, address }) => `${network}=${address}`).join(','),
    Command: JSON.stringify(options.noTrunc ? command : ellipsis(command, 20)),
    // A getter, because the table does not contain it and time zone names take 15 ms to load.
    get CreatedAt() {
      return goTime(replica.createdAt);
    },
    ExitCode: replica.exitCode,
    Health: replica.health === 'none' ? '' : replica.health,
    ID: options.noTrunc ? replica.id : shortId(replica.id),
    Image: familiarName(replica.image),
    Labels: Object.entries(replica.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    LocalVolumes: String(replica.volumes.length),
    Mounts: mounts.join(','),
    Name: replica.name,
    Names: replica.name,
    Networks: replica.addresses.map((address) => address.network).join(','),
    Ports: formatPorts(replica),
    Project: options.stack,
    Publishers: publishers(replica),
    RunningFor: ago(replica.createdAt, options.now),
    Service: replica.service,
    Size: '0B',
    State: psState(replica),
    Status: formatStatus(replica, options.now),
  };
};

const publishers = (replica: ReplicaStatus): PsRow[] => allPublishers(replica).sort((a, b) => Number(a.TargetPort) - Number(b.TargetPort));

const allPublishers = (replica: ReplicaStatus): PsRow[] => [
  ...replica.ports.map((port) => ({ URL: port.hostAddress, TargetPort: port.port, PublishedPort: port.hostPort, Protocol: port.protocol })),
  ...replica.exposed
    .map((text) => text.split('/'))
    .filter(([port, protocol = 'tcp']) => !replica.ports.some((other) => other.port === Number(port) && other.protocol === protocol))
    .map(([port, protocol = 'tcp']) => ({ URL: '', TargetPort: Number(port), PublishedPort: 0, Protocol: protocol })),
];
