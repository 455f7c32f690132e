import { BlockList, isIP } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { parseIpv6 } from '../../base/ipv6.ts';

/** What no machine reaches: the host's loopback, and addresses that mean something on the host's own links only. As in net/gateway/config.go. */
const NEVER: ReadonlyArray<readonly [string, number]> = [
  ...([
    ['0.0.0.0', 8],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
    ['224.0.0.0', 4],
    ['240.0.0.0', 4],
  ] as const),
  ...([
    ['::', 96],
    ['::ffff:0:0', 96],
    ['fe80::', 10],
    ['fec0::', 10],
    ['ff00::', 8],
  ] as const),
];

/** Networks that are not the internet: RFC 1918, RFC 6598, RFC 4193. */
const PRIVATE: ReadonlyArray<readonly [string, number]> = [
  ...([
    ['10.0.0.0', 8],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
    ['100.64.0.0', 10],
    ['fc00::', 7],
  ] as const),
];

/** Two lists, because a BlockList takes IPv4 addresses for the IPv6 ones that stand for them, and ::ffff:0:0/96 for all of IPv4. */
const listsOf = (prefixes: typeof NEVER): Record<4 | 6, BlockList> => {
  const lists = { 4: new BlockList(), 6: new BlockList() };
  for (const [base, bits] of prefixes) {
    base.includes(':') ? lists[6].addSubnet(base, bits, 'ipv6') : lists[4].addSubnet(base, bits, 'ipv4');
  }
  return lists;
};

const never = listsOf(NEVER);
const privateOnes = listsOf(PRIVATE);

/** Whether an address is of a kind that is never dialled for a machine, or the host has it on a loopback interface. */
export const isNeverDialled = (address: string): boolean => isIn(never, address) || isOwn(address, ({ internal }) => internal);

/** Whether an address is a private one, or one of this host's, whose programs are not the internet either. */
export const isPrivate = (address: string): boolean => isIn(privateOnes, address) || isOwn(address, () => true);

// Anything that is not an address counts as being in every list.
const isIn = (lists: Record<4 | 6, BlockList>, address: string): boolean => {
  const family = isIP(address);
  return family === 4 ? lists[4].check(address, 'ipv4') : family !== 6 || lists[6].check(address, 'ipv6');
};

const isOwn = (address: string, which: (own: NetworkInterfaceInfo) => boolean): boolean =>
  Object.values(networkInterfaces()).some((list) => list?.some((own) => which(own) && isSame(own.address, address)) === true);

/** IPv6 addresses have several spellings. */
const isSame = (one: string, other: string): boolean => {
  if (isIP(one) === 6 && isIP(other) === 6) {
    return parseIpv6(one.replace(/%.*$/, '')) === parseIpv6(other.replace(/%.*$/, ''));
  }
  return one === other;
};
