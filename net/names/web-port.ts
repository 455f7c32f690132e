import type { NamedPort } from './directory.ts';

/** Ports of services that speak something else, by what IANA and their makers say; nobody sends HTTP there to find out. */
const NOT_HTTP = new Set([
  ...[21, 22, 23, 25, 53, 110, 111, 143, 389, 445, 465, 514, 587, 636, 873, 993, 995],
  ...[1025, 1433, 1521, 1883, 2181, 2379, 2380, 3306, 4222, 4369, 5432, 5433, 5672, 6379, 6380, 7687, 8883, 9042, 9092, 9093, 9300],
  ...[11_211, 16_379, 25_672, 26_257, 26_379, 27_017, 27_018, 27_019, 28_015, 33_060, 50_051],
]);

/** Where web servers listen, first choice first: the four of issue 12, then the defaults of development servers. */
const WEB_PORTS = [80, 3000, 8000, 8080, 5173, 4200, 4321, 5000, 8888, 8081, 9000, 8025, 15_672];

/**
 * The protocol that a port is assumed to speak, by its number only: a request sent to find out would be in the log of the service, and some
 * (Redis, PostgreSQL) warn of it.
 */
export const protocolOf = (port: number): NamedPort['protocol'] =>
  NOT_HTTP.has(port) ? 'tcp' : WEB_PORTS.includes(port) ? 'http' : 'unknown';

/**
 * The port that a browser is meant to see: the label's, else the only one that may speak HTTP, else the first of the usual ones that
 * is there. Undefined where several ports could be meant and none is a usual one.
 */
export const webPortOf = (ports: readonly number[], labelled: number | undefined): number | undefined => {
  if (labelled !== undefined) {
    return labelled;
  }
  const possible = [...new Set(ports)].filter((port) => !NOT_HTTP.has(port) && port !== 443);
  return possible.length === 1 ? possible[0] : WEB_PORTS.find((port) => possible.includes(port));
};
