import type { RawHeaders } from '../../http/end-to-end.ts';
import type { Exchange } from './types.ts';

/** The edge writes these itself, because a client could make them up. */
const FORWARDED = new Set(['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port', 'x-real-ip']);

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
export const requestHeaders = (
  exchange: Pick<Exchange, 'headers' | 'authority' | 'secure' | 'from'>,
  hostHeader: string | undefined,
): string[] => {
  const sent = ['host', hostHeader ?? exchange.authority];
  const { headers } = exchange;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] as string;
    // A search in a list is fast enough: no request has many headers, and most are in neither list.
    if (!FORWARDED.has(name.toLowerCase())) {
      sent.push(name, headers[at + 1] as string);
    }
  }
  sent.push('x-forwarded-for', exchange.from ?? '127.0.0.1', 'x-forwarded-proto', exchange.secure ? 'https' : 'http');
  if (hostHeader === undefined) {
    sent.push('x-forwarded-host', exchange.authority);
  }
  return sent;
};
