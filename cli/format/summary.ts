import { sanitiseName } from '../../base/sanitise.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import { shortName } from './logs.ts';
import { hostPort } from './ports.ts';

/** One line per replica that runs: ` web-1  http://127.0.0.1:8080`. Empty when none does. */
export const formatSummary = (replicas: readonly ReplicaStatus[], stack: string): string => {
  const running = replicas.filter((replica) => replica.state === 'running' && !replica.oneOff);
  const width = Math.max(...running.map((replica) => shortName(replica.name, stack).length), 0);
  return [...running]
    .sort((a, b) => a.name.localeCompare(b.name))
    .map((replica) => ` ${shortName(replica.name, stack).padEnd(width)}  ${replicaLinks(replica).join('  ') || 'no published ports'}`)
    .join('\n');
};

// Well-known ports of other protocols than HTTP: shown as addresses, not as links.
const NOT_HTTP = new Set([
  21, 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2181, 3306, 4222, 5432, 5672, 6379, 9042, 9092, 11211, 27017,
]);

/** The host address of a replica's port: a link if it is likely HTTP, else `address:port`. */
export const replicaLinks = (replica: Pick<ReplicaStatus, 'ports'>): string[] => {
  const seen = replica.ports.map((port) => {
    const address = sanitiseName(hostPort({ ...port, hostAddress: browsable(port.hostAddress) }));
    if (port.protocol === 'udp' || NOT_HTTP.has(port.port)) {
      return `${address}${port.protocol === 'udp' ? '/udp' : ''}`;
    }
    return port.port === 443 || port.port === 8443 ? `https://${address}` : `http://${address}`;
  });
  return [...new Set(seen)];
};

const browsable = (address: string): string => (address === '0.0.0.0' || address === '::' || address === '' ? '127.0.0.1' : address);
