import { createHash } from 'node:crypto';
import { HyprError } from '../../base/errors.ts';
import { parseIpv4, parseSubnet } from './ipv4.ts';
import { contains6, formatIpv6, formatSubnet6, overlaps6, type Subnet6 } from './ipv6.ts';
import { needAddress6, needSubnet6 } from './need.ts';

export interface Subnet6Choice {
  readonly subnet6: string;
  readonly gateway6: string;
}

/**
 * The IPv6 subnet and gateway of a new network: what was asked for, or a /64 of the addresses for private use (RFC 4193) that follows
 * from `seed`. Throws NET_ADDRESS.
 */
export const chooseSubnet6 = (request: {
  readonly wanted?: string | undefined;
  readonly gateway?: string | undefined;
  readonly taken: readonly string[];
  readonly seed: string;
}): Subnet6Choice => {
  const subnet = needSubnet6(request.wanted ?? privateSubnet(request.seed));
  if (subnet.prefix > MOST_BITS || subnet.prefix < LEAST_BITS) {
    throw new HyprError('NET_ADDRESS', `the subnet ${request.wanted} cannot be used: it must be /${LEAST_BITS} to /${MOST_BITS}`);
  }
  const own = OF_NO_HOST.find((text) => overlaps6(needSubnet6(text), subnet));
  if (own !== undefined) {
    throw new HyprError('NET_ADDRESS', `the subnet ${formatSubnet6(subnet)} cannot be used: no machine can have an address of ${own}`, {
      hint: 'choose one of fd00::/8, or name none',
    });
  }
  const other = request.taken.find((text) => overlaps6(needSubnet6(text), subnet));
  if (other !== undefined) {
    throw new HyprError('NET_ADDRESS', `the subnet ${formatSubnet6(subnet)} overlaps ${other}, which another network uses`, {
      hint: 'choose another subnet, or name none',
    });
  }
  const gateway = request.gateway === undefined ? subnet.base + 1n : needAddress6(request.gateway);
  if (!contains6(subnet, gateway) || gateway === subnet.base) {
    throw new HyprError('NET_ADDRESS', `the gateway ${request.gateway} is not a usable address of ${formatSubnet6(subnet)}`);
  }
  return { subnet6: formatSubnet6(subnet), gateway6: formatIpv6(gateway) };
};

/** Loopback and mapped addresses, those of one link (which NICs have anyway), and multicast. */
const OF_NO_HOST = ['::/8', 'fe80::/10', 'ff00::/8'];

/**
 * A replica's IPv6 address: the one asked for, or one with the same end as its IPv4 address, so that both are as easy to tell; else the
 * next free one, of the whole range. Throws NET_ADDRESS when the one asked for is taken or not in the subnet, NET_EXHAUSTED.
 */
export const allocateAddress6 = (request: {
  readonly subnet6: string;
  readonly gateway6: string;
  /** Its IPv4 address and the subnet of that. */
  readonly address: string;
  readonly subnet: string;
  readonly taken: readonly string[];
  readonly wanted?: string | undefined;
  /** `ip_range`: only addresses from this range (CIDR inside the subnet). */
  readonly range6?: string | undefined;
  /** `aux_addresses`: addresses never to use; those of IPv4 do not matter here. */
  readonly reserved?: readonly string[];
}): string => {
  const subnet = needSubnet6(request.subnet6);
  const reserved = (request.reserved ?? []).filter((text) => text.includes(':'));
  const taken = new Set([...request.taken, request.gateway6].map(needAddress6));
  if (request.wanted !== undefined) {
    const address = needAddress6(request.wanted);
    if (!contains6(subnet, address) || address === subnet.base) {
      throw new HyprError('NET_ADDRESS', `the address ${request.wanted} is not in the network's subnet ${request.subnet6}`);
    }
    if (taken.has(address)) {
      throw new HyprError('NET_ADDRESS', `the address ${request.wanted} is already in use in ${request.subnet6}`);
    }
    return formatIpv6(address);
  }
  const end = BigInt((parseIpv4(request.address) ?? 0) - (parseSubnet(request.subnet)?.base ?? 0));
  const step = 1n << 32n;
  const range = request.range6 === undefined ? subnet : rangeIn(subnet, request.range6);
  const size = 1n << BigInt(128 - range.prefix);
  for (const address of reserved.map(needAddress6)) {
    taken.add(address);
  }
  // More tries than there are addresses that cannot be had: those in use, and the first two of the subnet.
  const tries = BigInt(taken.size + 3);
  for (let index = 0n; index < tries && index < size; index += 1n) {
    const address = range.base + ((end + index * (size > step ? step : 1n)) % size);
    if (address > subnet.base + 1n && !taken.has(address)) {
      return formatIpv6(address);
    }
  }
  throw new HyprError('NET_EXHAUSTED', `no address is left in ${formatSubnet6(range)}`, { hint: 'give the network a larger IPv6 subnet' });
};

const rangeIn = (subnet: Subnet6, text: string): Subnet6 => {
  const range = needSubnet6(text);
  if (!contains6(subnet, range.base) || range.prefix < subnet.prefix) {
    throw new HyprError('NET_ADDRESS', `the ip_range ${text} is not inside the subnet ${formatSubnet6(subnet)}`);
  }
  return range;
};

const LEAST_BITS = 8;
const MOST_BITS = 120;

/** 40 bits that nobody else is likely to have. */
const privateSubnet = (seed: string): string => {
  const id = createHash('sha256').update(seed).digest('hex');
  return `fd${id.slice(0, 2)}:${id.slice(2, 6)}:${id.slice(6, 10)}::/64`;
};
