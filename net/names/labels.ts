import { isHostName } from './dns-label.ts';

/** What labels of a service say about its names. */
export interface NameLabels {
  /** In the order given; without the domain when they are below it, else with a dot at the end. */
  readonly domains: readonly { readonly host: string; readonly port?: number }[];
  readonly httpPort?: number;
  readonly https: boolean;
  readonly hostHeader?: string;
  /** Labels that cannot be read, as sentences. */
  readonly problems: readonly string[];
}

const MOST_DOMAINS = 64;

/**
 * Reads `hypr.domains`, `hypr.http-port`, `hypr.https` and `hypr.host-header`, and OrbStack's `dev.orbstack.domains` and
 * `dev.orbstack.http-port` where ours are not given (https://docs.orbstack.dev/docker/domains). `hypr.domains` are names separated by
 * commas or spaces, each with `*.` in front for all names below it and `:PORT` behind it for another port than the service's.
 */
export const readNameLabels = (labels: Readonly<Record<string, string>>, domain: string): NameLabels => {
  const problems: string[] = [];
  const domains = (labels['hypr.domains'] ?? labels['dev.orbstack.domains'] ?? '')
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .slice(0, MOST_DOMAINS)
    .flatMap((entry) => {
      const read = readDomain(entry, domain);
      if (read === undefined) {
        problems.push(`${JSON.stringify(entry.slice(0, 100))} in hypr.domains is not a name, or not NAME:PORT`);
      }
      return read ?? [];
    });
  const port = labels['hypr.http-port'] ?? labels['dev.orbstack.http-port'];
  const httpPort = port === undefined ? undefined : readPort(port.trim());
  if (port !== undefined && httpPort === undefined) {
    problems.push(`${JSON.stringify(port.slice(0, 100))} in hypr.http-port is not a port`);
  }
  const header = labels['hypr.host-header']?.trim();
  const isHeader = header !== undefined && /^[a-z0-9._:[\]-]{1,255}$/i.test(header);
  if (header !== undefined && !isHeader) {
    problems.push(`${JSON.stringify(header.slice(0, 100))} in hypr.host-header is not a host`);
  }
  return {
    domains,
    ...(httpPort === undefined ? {} : { httpPort }),
    https: !/^(false|no|off|0)$/i.test(labels['hypr.https']?.trim() ?? ''),
    ...(isHeader ? { hostHeader: header } : {}),
    problems,
  };
};

const readDomain = (entry: string, domain: string): { host: string; port?: number } | undefined => {
  const [, name = '', digits] = /^(.*?)(?::([0-9]+))?$/.exec(entry.toLowerCase()) ?? [];
  const port = digits === undefined ? undefined : readPort(digits);
  const bare = name.replace(/\.$/, '');
  if (!isHostName(bare.replace(/^\*\./, '')) || (digits !== undefined && port === undefined) || bare === domain) {
    return undefined;
  }
  const isOurs = bare.endsWith(`.${domain}`) || !bare.replace(/^\*\./, '').includes('.');
  const host = bare.endsWith(`.${domain}`) ? bare.slice(0, -domain.length - 1) : isOurs ? bare : `${bare}.`;
  return { host, ...(port === undefined ? {} : { port }) };
};

const readPort = (text: string): number | undefined => {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
};
