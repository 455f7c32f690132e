import type { ReplicaStatus } from '../../engine/model/events.ts';

type Port = ReplicaStatus['ports'][number];

/** `[::1]:8080` or `127.0.0.1:8080`. */
export const hostPort = (port: Pick<Port, 'hostAddress' | 'hostPort'>): string =>
  `${port.hostAddress.includes(':') ? `[${port.hostAddress}]` : port.hostAddress}:${port.hostPort}`;

interface Range {
  readonly address: string;
  readonly protocol: string;
  readonly first: number;
  readonly last: number;
}

/**
 * The PORTS column: `127.0.0.1:8080->80/tcp, 443/tcp`; neighbours published on their own number are
 * joined (`127.0.0.1:9000-9002->9000-9002/tcp`), as docker does, and those come before the mapped ones.
 */
export const formatPorts = (replica: Pick<ReplicaStatus, 'ports' | 'exposed'>): string => {
  const published = [...replica.ports].sort(
    (a, b) => a.port - b.port || a.hostAddress.localeCompare(b.hostAddress) || a.hostPort - b.hostPort,
  );
  const mapped = published.filter((port) => port.hostPort !== port.port).map((port) => `${hostPort(port)}->${port.port}/${port.protocol}`);
  const same: Range[] = published
    .filter((port) => port.hostPort === port.port)
    .map((port) => ({ address: port.hostAddress, protocol: port.protocol, first: port.port, last: port.port }));
  return [...joinRanges([...same, ...exposedOnly(replica)]).map(formatRange), ...mapped].join(', ');
};

const exposedOnly = (replica: Pick<ReplicaStatus, 'ports' | 'exposed'>): Range[] =>
  replica.exposed
    .map((text) => {
      const [ports = '', protocol = 'tcp'] = text.split('/');
      const [first = '', last = first] = ports.split('-');
      return { address: '', protocol, first: Number(first), last: Number(last) };
    })
    .filter((range) => !replica.ports.some((port) => port.protocol === range.protocol && port.port === range.first));

const joinRanges = (ranges: readonly Range[]): Range[] => {
  const key = (range: Range): string => `${range.address}/${range.protocol}`;
  const joined: Range[] = [];
  for (const range of [...ranges].sort((a, b) => key(a).localeCompare(key(b)) || a.first - b.first)) {
    const previous = joined.at(-1);
    if (previous && key(previous) === key(range) && range.first <= previous.last + 1) {
      joined[joined.length - 1] = { ...previous, last: Math.max(previous.last, range.last) };
    } else {
      joined.push(range);
    }
  }
  return joined.sort((a, b) => a.first - b.first);
};

const formatRange = (range: Range): string => {
  const ports = range.first === range.last ? String(range.first) : `${range.first}-${range.last}`;
  const address = range.address.includes(':') ? `[${range.address}]` : range.address;
  return `${address === '' ? '' : `${address}:${ports}->`}${ports}/${range.protocol}`;
};
