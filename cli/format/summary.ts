import { sanitiseName } from '../../base/sanitise.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import { shortName } from './logs.ts';
import { hostPort } from './ports.ts';

/** Service → the URL of its name. */
export type ServiceUrls = ReadonlyMap<string, string>;

/** One line per replica, also of those that do not run: ` web-1  healthy  http://web.shop.localhost:7080/`. Empty when there is none. */
export const formatSummary = (replicas: readonly ReplicaStatus[], stack: string, urls: ServiceUrls = new Map()): string => {
  const shown = replicas.filter((replica) => !replica.oneOff).sort((a, b) => a.name.localeCompare(b.name));
  const rows = shown.map((replica) => {
    const links = replica.state === 'running' ? replicaLinks(replica, urls.get(replica.service)).join('  ') || 'no published ports' : '';
    return [shortName(replica.name, stack), conditionOf(replica), links] as const;
  });
  const widthOfColumn = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length), 0);
  const [name, condition] = [widthOfColumn(0), widthOfColumn(1)];
  return rows
    .map((row) => ` ${row[0].padEnd(name)}  ${condition === 0 ? '' : `${row[1].padEnd(condition)}  `}${row[2]}`.trimEnd())
    .join('\n');
};

/** Empty for a replica that just runs. */
const conditionOf = ({ state, health, exitCode, restarts }: ReplicaStatus): string => {
  const again = restarts > 0 ? `, ${restarts} restart${restarts === 1 ? '' : 's'}` : '';
  if (state === 'running') {
    return `${health === 'none' ? (again === '' ? '' : 'up') : health === 'starting' ? 'health: starting' : health}${again}`;
  }
  if (state === 'starting' && restarts > 0) {
    return `restarting (${exitCode})${again}`;
  }
  return state === 'exited' || state === 'restarting' ? `${state} (${exitCode})${again}` : state;
};

// Well-known ports of other protocols than HTTP: shown as addresses, not as links.
const NOT_HTTP = new Set([
  21, 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2181, 3306, 4222, 5432, 5672, 6379, 9042, 9092, 11211, 27017,
]);

/** The URL of its name, and the host addresses of a replica's ports: a link if it is likely HTTP, else `address:port`. */
export const replicaLinks = (replica: Pick<ReplicaStatus, 'ports'>, url?: string): string[] => {
  const seen = replica.ports.map((port) => {
    const address = sanitiseName(hostPort({ ...port, hostAddress: browsable(port.hostAddress) }));
    if (port.protocol === 'udp' || NOT_HTTP.has(port.port)) {
      return `${address}${port.protocol === 'udp' ? '/udp' : ''}`;
    }
    return port.port === 443 || port.port === 8443 ? `https://${address}` : `http://${address}`;
  });
  return [...new Set([...(url === undefined ? [] : [url]), ...seen])];
};

const browsable = (address: string): string => (address === '0.0.0.0' || address === '::' || address === '' ? '127.0.0.1' : address);
