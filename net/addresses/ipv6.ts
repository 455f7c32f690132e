import { parseIpv6 } from '../../base/ipv6.ts';

/** An IPv6 subnet; `base` is its first address. */
export interface Subnet6 {
  readonly base: bigint;
  readonly prefix: number;
}

/** In the form of RFC 5952. */
export const formatIpv6 = (value: bigint): string => {
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
};

/** `fd00::5/64` → its subnet, host bits dropped; undefined if it is not one. */
export const parseSubnet6 = (text: string): Subnet6 | undefined => {
  const [address = '', bits = '', ...rest] = text.split('/');
  const value = parseIpv6(address);
  const prefix = Number(bits);
  if (value === undefined || rest.length > 0 || !/^\d{1,3}$/.test(bits) || prefix > 128) {
    return undefined;
  }
  const host = BigInt(128 - prefix);
  return { base: (value >> host) << host, prefix };
};

export const formatSubnet6 = (subnet: Subnet6): string => `${formatIpv6(subnet.base)}/${subnet.prefix}`;

export const contains6 = (subnet: Subnet6, address: bigint): boolean =>
  address >> BigInt(128 - subnet.prefix) === subnet.base >> BigInt(128 - subnet.prefix);

export const overlaps6 = (a: Subnet6, b: Subnet6): boolean => (a.prefix <= b.prefix ? contains6(a, b.base) : contains6(b, a.base));
