import { INDEX_NAME, type NameDirectory, type NamedService } from '../../names/directory.ts';

/** What a Host header asks for. */
export type Route =
  /** The edge's own pages. */
  | { readonly kind: 'own' }
  /** `port` is the guest's port that the name asks for: `3000.web.shop.hypr`. */
  | { readonly kind: 'service'; readonly service: NamedService; readonly port: number | undefined; readonly name: string }
  /** A name below our domains that nothing has. */
  | { readonly kind: 'unknown'; readonly name: string }
  /** Not one of our names: a page elsewhere whose name was made to resolve to this host (DNS rebinding), or a mistake. */
  | { readonly kind: 'foreign' };

/** Host without port and last dot, in lower case, and the port; undefined for what is neither name nor address (RFC 9110, section 7.2). */
export const parseAuthority = (text: string): { host: string; port: number | undefined } | undefined => {
  const [, host, port] = AUTHORITY.exec(text) ?? [];
  const number = port === undefined || port === '' ? undefined : Number(port);
  if (host === undefined || (number !== undefined && (number < 1 || number > 65_535))) {
    return undefined;
  }
  return { host: host.toLowerCase().replace(/\.$/, ''), port: number };
};

const AUTHORITY = /^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}))(?::(\d{0,5}))?$/;

/**
 * Finds what a host stands for. Loopback names and addresses are the edge's own pages; names below the domain or `localhost` are
 * services. Any other name counts only if a service asked for exactly that name: `web.shop` without the domain belongs to somebody else.
 */
export const routeHost = (host: string, directory: NameDirectory, domain: string): Route => {
  if (isOwnHost(host, domain)) {
    return { kind: 'own' };
  }
  const name = belowDomain(host, domain);
  if (name === undefined) {
    // Names of other domains that a service asked for have a dot at the end in the directory.
    const service = directory.find(`${host}.`);
    return service === undefined ? { kind: 'foreign' } : { kind: 'service', service, port: undefined, name: host };
  }
  const service = directory.find(name);
  if (service !== undefined && !isWildcard(service)) {
    return { kind: 'service', service, port: undefined, name };
  }
  if (name === INDEX_NAME) {
    return { kind: 'own' };
  }
  const [, port, rest] = /^(\d{1,5})\.(.+)$/.exec(name) ?? [];
  const ofPort = rest === undefined ? undefined : directory.find(rest);
  // A name that a wildcard matches matches without its port too, so the wildcard itself comes last.
  if (ofPort !== undefined && (service === undefined || !isWildcard(ofPort))) {
    return { kind: 'service', service: ofPort, port: Number(port), name: rest ?? name };
  }
  return service === undefined ? { kind: 'unknown', name } : { kind: 'service', service, port: undefined, name };
};

const isWildcard = (service: NamedService): boolean => service.host.startsWith('*.');

/** Hosts under which the edge's own pages are: where no name of a foreign page can point to. */
export const isOwnHost = (host: string, domain: string): boolean =>
  host === 'localhost' || host === domain || host === `${domain}.localhost` || host === '127.0.0.1' || host === '[::1]';

/** The part in front of the domain or of `localhost`; undefined where there is none. */
export const belowDomain = (host: string, domain: string): string | undefined => {
  for (const suffix of [`.${domain}.localhost`, `.${domain}`, '.localhost']) {
    if (host.endsWith(suffix) && host.length > suffix.length) {
      return host.slice(0, -suffix.length);
    }
  }
  return undefined;
};
