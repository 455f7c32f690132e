import type { HyprError } from '../../base/errors.ts';
import { isIpAddress } from '../../base/ip-address.ts';
import { errorAt, type Mark } from '../source/source.ts';

/** One published or exposed port of the short form. */
export interface ParsedPort {
  readonly hostIp: string;
  readonly target: number;
  readonly published: string;
  readonly protocol: string;
}

/**
 * `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, ranges on either side; a range of host ports for one container
 * port stays a range. Sorted by the text of the container port, as docker does.
 * @throws COMPOSE_INVALID naming the wrong part
 */
export const parsePort = (spec: string, mark: Mark): ParsedPort[] => {
  const invalid = (reason: string): HyprError =>
    errorAt('COMPOSE_INVALID', `the port "${spec}" is not valid: ${reason}`, { mark, hint: 'write HOST:CONTAINER, e.g. "8080:80"' });
  const parts = spec.split(':');
  const last = parts.pop() ?? '';
  const host = parts.pop() ?? '';
  const hostIp = addressOf(parts.join(':'), invalid);
  const slash = last.indexOf('/');
  const container = slash === -1 ? last : last.slice(0, slash);
  const protocol = (slash === -1 ? '' : last.slice(slash + 1).split('/')[0]) || 'tcp';
  if (container === '') {
    throw invalid('the container port is missing');
  }
  if (!PROTOCOLS.has(protocol.toLowerCase())) {
    throw invalid(`the protocol must be tcp, udp or sctp, not "${protocol}"`);
  }
  const target = parseRange(container, 'container', invalid);
  if (target.start === 0) {
    throw invalid('a container has no port 0');
  }
  const published = host === '' ? undefined : parseRange(host, 'host', invalid);
  if (published !== undefined && published.size !== target.size && target.size !== 1) {
    throw invalid('the ranges of host and container ports differ in length');
  }
  const publishedAt = (offset: number): string => {
    if (published === undefined) {
      return '';
    }
    return target.size === 1 && published.size > 1 ? `${published.start}-${published.end}` : String(published.start + offset);
  };
  return Array.from({ length: target.size }, (_, offset) => ({
    hostIp,
    target: target.start + offset,
    published: publishedAt(offset),
    protocol: protocol.toLowerCase(),
  })).sort((a, b) => (`${a.target}/` < `${b.target}/` ? -1 : 1));
};

interface Range {
  readonly start: number;
  readonly end: number;
  readonly size: number;
}

const parseRange = (text: string, side: string, invalid: (reason: string) => HyprError): Range => {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const start = Number(match?.[1]);
  const end = Number(match?.[2] ?? match?.[1]);
  if (text.split('-').some((part) => /^\d+$/.test(part) && Number(part) > 65535)) {
    throw invalid(`the ${side} port "${text}" is above 65535`);
  }
  if (match === null) {
    throw invalid(`"${text}" is not a ${side} port`);
  }
  if (end < start) {
    throw invalid(`the range "${text}" ends before it starts`);
  }
  return { start, end, size: end - start + 1 };
};

const addressOf = (text: string, invalid: (reason: string) => HyprError): string => {
  const address = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  if (address !== '' && !isIpAddress(address.split('%')[0] ?? '')) {
    throw invalid(`"${address}" is not an IP address`);
  }
  return address;
};

const PROTOCOLS = new Set(['tcp', 'udp', 'sctp']);
