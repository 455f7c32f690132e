import type { IncomingHttpHeaders } from 'node:http';

/** Names and values in turn, as they came. */
export type RawHeaders = readonly string[];

/** Headers of one connection, not of the message (RFC 9110, section 7.6.1), and those for a proxy. */
const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'proxy-authenticate', 'transfer-encoding', 'te', 'upgrade'],
  // Whoever forwards answers Expect, or has the service answer it. Node's library throws for `trailer` where the body is not chunked.
  ...['http2-settings', 'expect', 'trailer'],
]);

/** Headers of the message without those of the connection, and without those that `Connection` names. Pure. */
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

/** The same for headers that Node has read: names in lower case. Pure. */
export const endToEndFields = (headers: IncomingHttpHeaders): Record<string, string | string[]> => {
  const named = connectionNames(headers.connection ?? '', undefined);
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || HOP_BY_HOP.has(name) || named?.has(name) ? [] : [[name, value]],
    ),
  );
};

const connectionNames = (value: string, before: Set<string> | undefined): Set<string> | undefined => {
  if (value === '' || value === 'keep-alive' || value === 'close' || value === 'Keep-Alive') {
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
