import type { Exchange, RawHeaders } from './types.ts';

/** Headers of one connection, not of the message (RFC 9110, section 7.6.1), and those for a proxy. */
const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'proxy-authenticate', 'transfer-encoding', 'te', 'upgrade'],
  // The edge answers Expect itself, or as the service does (expect.ts). Node's library throws for `trailer` where the body is not chunked.
  ...['http2-settings', 'expect', 'trailer'],
]);
/** The edge writes these itself, because a client could make them up. */
const FORWARDED = new Set(['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port', 'x-real-ip']);

/** Headers of the message without those of the connection, and without those that `Connection` names. */
export const endToEnd = (raw: RawHeaders): string[] => {
  const kept: string[] = [];
  let named: Set<string> | undefined;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] as string;
    const lower = name.toLowerCase();
    if (lower === 'connection') {
      named = connectionNames(raw[at + 1] as string, named);
    }
    if (!HOP_BY_HOP.has(lower) && lower[0] !== ':') {
      kept.push(name, raw[at + 1] as string);
    }
  }
  return named === undefined ? kept : filterHeaders(kept, (name) => !named.has(name));
};

const connectionNames = (value: string, before: Set<string> | undefined): Set<string> | undefined => {
  if (value === 'keep-alive' || value === 'close' || value === 'Keep-Alive') {
    return before;
  }
  const names = before ?? new Set<string>();
  for (const name of value.toLowerCase().split(',')) {
    names.add(name.trim());
  }
  return names;
};

export const filterHeaders = (raw: RawHeaders, keep: (lower: string) => boolean): string[] => {
  const kept: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (keep((raw[at] as string).toLowerCase())) {
      kept.push(raw[at] as string, raw[at + 1] as string);
    }
  }
  return kept;
};

/** The value of a header, the first of several. */
export const headerOf = (raw: RawHeaders, wanted: string): string | undefined => {
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] as string;
    if (name.length === wanted.length && name.toLowerCase() === wanted) {
      return raw[at + 1];
    }
  }
  return undefined;
};

/**
 * The headers for the service: the client's, Host, and who asked for what. With a host of its own (`hypr.host-header`) the service is not
 * told the name at all: some check X-Forwarded-Host as they check Host.
 */
export const requestHeaders = (exchange: Pick<Exchange, 'headers' | 'authority' | 'secure'>, hostHeader: string | undefined): string[] => {
  const sent = ['host', hostHeader ?? exchange.authority];
  const { headers } = exchange;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] as string;
    // A search in a list is fast enough: no request has many headers, and most are in neither list.
    if (!FORWARDED.has(name.toLowerCase())) {
      sent.push(name, headers[at + 1] as string);
    }
  }
  sent.push('x-forwarded-for', '127.0.0.1', 'x-forwarded-proto', exchange.secure ? 'https' : 'http');
  if (hostHeader === undefined) {
    sent.push('x-forwarded-host', exchange.authority);
  }
  return sent;
};
