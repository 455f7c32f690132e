import { isIPv6 } from 'node:net';

/** The 128 bits of an IPv6 address; undefined for what is none, or has a zone. */
export const parseIpv6 = (text: string): bigint | undefined => {
  if (!isIPv6(text) || text.includes('%')) {
    return undefined;
  }
  // The URL parser writes a trailing IPv4 address in hex, and leaves at most one `::`.
  const [left = '', right] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split('::');
  const before = left === '' ? [] : left.split(':');
  const after = right === undefined || right === '' ? [] : right.split(':');
  const groups = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => '0'), ...after];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
};
