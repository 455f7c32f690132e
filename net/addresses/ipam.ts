import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { HyprError, isErrno } from '../../base/errors.ts';
import { contains, formatIpv4, formatSubnet, overlaps, parseIpv4, parseSubnet, type Subnet, subnetAt } from './ipv4.ts';
import { needAddress, needSubnet } from './need.ts';
import { parseRoutes } from './proc-net.ts';

export interface SubnetRequest {
  /** What the Compose file asks for (`ipam.config.subnet`, `.gateway`). */
  readonly wanted?: string | undefined;
  readonly gateway?: string | undefined;
  /** Subnets of all other existing networks, of any stack. */
  readonly taken: readonly string[];
}

export interface SubnetChoice {
  /** CIDR with its host bits cleared. */
  readonly subnet: string;
  readonly gateway: string;
}

export interface AddressRequest {
  readonly subnet: string;
  readonly gateway: string;
  readonly taken: readonly string[];
  /** `ipv4_address`: exactly this address. */
  readonly wanted?: string | undefined;
  /** `ip_range`: only addresses from this range (CIDR inside the subnet). */
  readonly range?: string | undefined;
  /** `aux_addresses`: addresses never to use; those of IPv6 do not matter here. */
  readonly reserved?: readonly string[];
  /** The network lets guests reach the host, so the host's address is taken. */
  readonly hostAccess?: boolean;
}

/**
 * Chooses the subnet and gateway of a new network. A requested subnet is checked; otherwise it is 192.168.127.0/24 or
 * the next free /24 that does not overlap a route of this host, Docker, Tailscale or another network. Throws NET_ADDRESS
 * or NET_EXHAUSTED.
 */
export const chooseSubnet = async (request: SubnetRequest): Promise<SubnetChoice> => chooseSubnetFrom(request, await hostRoutes());

/** Like chooseSubnet, with the host's routes given: pure. */
export const chooseSubnetFrom = (request: SubnetRequest, routes: readonly Subnet[]): SubnetChoice => {
  const taken = request.taken.map(needSubnet);
  const subnet = request.wanted === undefined ? freeSubnet([...taken, ...routes, ...AVOIDED]) : wantedSubnet(request.wanted, taken);
  const gateway = request.gateway === undefined ? subnet.base + 1 : needAddress(request.gateway);
  if (!isUsable(subnet, gateway)) {
    throw new HyprError('NET_ADDRESS', `the gateway ${request.gateway} is not a usable address of ${formatSubnet(subnet)}`, {
      hint: `choose one from ${formatIpv4(subnet.base + 1)} to ${formatIpv4(lastUsable(subnet))}`,
    });
  }
  return { subnet: formatSubnet(subnet), gateway: formatIpv4(gateway) };
};

/**
 * Chooses a new replica's address: the requested one, or the lowest free one from the third address on. Never the
 * network, gateway or broadcast address; the host's address only on request, where it is not in use. Throws NET_ADDRESS
 * or NET_EXHAUSTED.
 */
export const allocateAddress = (request: AddressRequest): string => {
  const subnet = needSubnet(request.subnet);
  const gateway = needAddress(request.gateway);
  const host = needAddress(hostAddress(request));
  const taken = new Set([...request.taken, ...(request.reserved ?? []).filter((text) => !text.includes(':'))].map(needAddress));
  if (request.wanted !== undefined) {
    return fixedAddress(request, subnet, request.hostAccess === true ? [gateway, host] : [gateway]);
  }
  const range = request.range === undefined ? subnet : rangeIn(subnet, request.range);
  const last = Math.min(range.base + range.size - 1, lastUsable(subnet));
  const first = Math.max(range.base, subnet.base + 3);
  for (let address = first; address <= last; address += 1) {
    if (address !== gateway && address !== host && !taken.has(address)) {
      return formatIpv4(address);
    }
  }
  throw new HyprError('NET_EXHAUSTED', `no address is left in ${formatSubnet(range)}: ${taken.size} are in use`, {
    hint: 'give the network a larger subnet (ipam.config.subnet), or remove replicas that are no longer needed',
  });
};

/** The address of the host itself (host.docker.internal) where it may be reached: the last usable address that is not the gateway. */
export const hostAddress = (network: { readonly subnet: string; readonly gateway: string }): string => {
  const last = lastUsable(needSubnet(network.subnet));
  return formatIpv4(needAddress(network.gateway) === last ? last - 1 : last);
};

/** A locally administered unicast MAC address derived from the text: the same text always gives the same address. */
export const macAddress = (text: string): string => {
  const bytes = [...createHash('sha256').update(text).digest().subarray(0, 6)];
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
};

export const prefixLength = (subnet: string): number => needSubnet(subnet).prefix;

/** Docker's first bridge (its others show up as routes), Tailscale and other carrier-grade NAT. */
const AVOIDED: readonly Subnet[] = ['172.17.0.0/16', '100.64.0.0/10'].flatMap((text) => parseSubnet(text) ?? []);

/** "This" network, loopback, multicast and the broadcast address: kernels drop packets from these. What is reserved below the last they take. */
const OF_NO_HOST: readonly Subnet[] = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/4', '255.255.255.255/32'].flatMap(
  (text) => parseSubnet(text) ?? [],
);

/** /24s to choose from, in order: the default and its neighbours, then 10.89–10.127 (podman's and docker's usual picks come earlier). */
function* candidates(): Generator<Subnet> {
  const first = parseIpv4('192.168.127.0') ?? 0;
  for (let index = 0; index < 128; index += 1) {
    yield subnetAt(first + index * 256, 24);
  }
  const second = parseIpv4('10.89.0.0') ?? 0;
  for (let index = 0; index < 39 * 256; index += 1) {
    yield subnetAt(second + index * 256, 24);
  }
}

const freeSubnet = (avoid: readonly Subnet[]): Subnet => {
  for (const candidate of candidates()) {
    if (!avoid.some((other) => overlaps(candidate, other))) {
      return candidate;
    }
  }
  throw new HyprError('NET_EXHAUSTED', 'no free subnet is left for a new network', {
    hint: 'remove stacks that are no longer needed, or name a subnet in the Compose file (ipam.config.subnet)',
  });
};

const wantedSubnet = (text: string, taken: readonly Subnet[]): Subnet => {
  const subnet = needSubnet(text);
  if (subnet.prefix > 29 || subnet.prefix < 8) {
    throw new HyprError('NET_ADDRESS', `the subnet ${text} cannot be used: it must be /8 to /29`);
  }
  const own = OF_NO_HOST.find((range) => overlaps(range, subnet));
  if (own !== undefined) {
    throw new HyprError('NET_ADDRESS', `the subnet ${text} cannot be used: no machine can have an address of ${formatSubnet(own)}`, {
      hint: 'choose one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16',
    });
  }
  const other = taken.find((candidate) => overlaps(candidate, subnet));
  if (other !== undefined) {
    throw new HyprError('NET_ADDRESS', `the subnet ${text} overlaps ${formatSubnet(other)}, which another network uses`, {
      hint: 'choose another subnet, or leave ipam.config out',
    });
  }
  return subnet;
};

const fixedAddress = (request: AddressRequest, subnet: Subnet, special: readonly number[]): string => {
  const text = request.wanted ?? '';
  const address = needAddress(text);
  if (!contains(subnet, address)) {
    throw new HyprError('NET_ADDRESS', `the address ${text} is not in the network's subnet ${request.subnet}`);
  }
  if (!isUsable(subnet, address) || special.includes(address)) {
    throw new HyprError(
      'NET_ADDRESS',
      `the address ${text} cannot be given to a service: it is the network's, gateway's, host's or broadcast address`,
    );
  }
  if (request.taken.some((taken) => needAddress(taken) === address)) {
    throw new HyprError('NET_ADDRESS', `the address ${text} is already in use in ${request.subnet}`, {
      hint: 'a service with ipv4_address can have one replica only',
    });
  }
  return formatIpv4(address);
};

const rangeIn = (subnet: Subnet, text: string): Subnet => {
  const range = needSubnet(text);
  if (!contains(subnet, range.base) || range.size > subnet.size) {
    throw new HyprError('NET_ADDRESS', `the ip_range ${text} is not inside the subnet ${formatSubnet(subnet)}`);
  }
  return range;
};

const lastUsable = (subnet: Subnet): number => subnet.base + subnet.size - 2;

const isUsable = (subnet: Subnet, address: number): boolean => address > subnet.base && address <= lastUsable(subnet);

/** Subnets this host has routes to, without the default route; none where /proc is not Linux's. */
const hostRoutes = async (): Promise<Subnet[]> => {
  try {
    return parseRoutes(await readFile('/proc/net/route', 'latin1'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES')) {
      return [];
    }
    throw error;
  }
};
