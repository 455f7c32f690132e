import { sanitiseName } from '../../base/sanitise.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import { formatPorts } from './ports.ts';
import { goTime } from './time.ts';
import { ago, humanDuration } from './units.ts';

/** docker's STATUS column: `Up 2 seconds (healthy)`, `Exited (0) 3 seconds ago`. */
export const formatStatus = (replica: ReplicaStatus, now: number): string => {
  const since = (time: number | undefined): string => ago(time ?? replica.createdAt, now);
  const up = `Up ${humanDuration(Math.max(0, now - (replica.startedAt ?? replica.createdAt)))}`;
  switch (replica.state) {
    case 'running':
    case 'stopping':
      return `${up}${healthSuffix(replica)}`;
    case 'paused':
      return `${up} (Paused)`;
    case 'suspended':
      return 'Suspended';
    case 'restarting':
      return `Restarting (${replica.exitCode}) ${since(replica.finishedAt)}`;
    case 'exited':
      return `Exited (${replica.exitCode}) ${since(replica.finishedAt)}`;
    case 'starting':
      return 'Starting';
    case 'dead':
      return 'Dead';
    case 'created':
      return 'Created';
  }
};

const healthSuffix = (replica: ReplicaStatus): string => {
  if (replica.health === 'none') {
    return '';
  }
  return replica.health === 'starting' ? ' (health: starting)' : ` (${replica.health})`;
};

/** Arguments joined as docker shows a command: those with spaces in single quotes. */
export const joinCommand = (args: readonly string[]): string => args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg)).join(' ');

/** At most `width` code points; the last one is an ellipsis if the text is cut. */
export const ellipsis = (text: string, width: number): string => {
  const runes = [...text];
  return runes.length <= width ? text : `${runes.slice(0, width - 1).join('')}…`;
};

/** A name without a tag and without a digest is that of `latest`, as docker shows it. */
export const imageRepository = (reference: string): { repository: string; tag: string } => {
  const name = familiarName(reference);
  const [plain = name] = name.split('@');
  const colon = plain.lastIndexOf(':');
  return colon > plain.lastIndexOf('/')
    ? { repository: plain.slice(0, colon), tag: plain.slice(colon + 1) }
    : { repository: plain, tag: name.includes('@') ? '<none>' : 'latest' };
};

/** `docker.io/library/nginx:1` → `nginx:1`. */
export const familiarName = (reference: string): string => sanitiseName(reference).replace(/^docker\.io\/(library\/)?/, '');

/** `sha256:<64>` or `<64>` → its first 12 digits. */
export const shortId = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12);

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

/** docker has no `starting` and `stopping`: they are shown as created and running. */
export const psState = (replica: ReplicaStatus): string => {
  if (replica.state === 'stopping') {
    return 'running';
  }
  return replica.state === 'starting' ? 'created' : replica.state;
};

const publishers = (replica: ReplicaStatus): PsRow[] => allPublishers(replica).sort((a, b) => Number(a.TargetPort) - Number(b.TargetPort));

const allPublishers = (replica: ReplicaStatus): PsRow[] => [
  ...replica.ports.map((port) => ({ URL: port.hostAddress, TargetPort: port.port, PublishedPort: port.hostPort, Protocol: port.protocol })),
  ...replica.exposed
    .map((text) => text.split('/'))
    .filter(([port, protocol = 'tcp']) => !replica.ports.some((other) => other.port === Number(port) && other.protocol === protocol))
    .map(([port, protocol = 'tcp']) => ({ URL: '', TargetPort: Number(port), PublishedPort: 0, Protocol: protocol })),
];
