/** An IPv4 subnet as numbers: `base` is the network address, `size` the number of addresses. */
export interface Subnet {
  readonly base: number;
  readonly size: number;
  readonly prefix: number;
}

/** Dotted quad → number; undefined for anything else (leading zeros too: their base is ambiguous). */
export const parseIpv4 = (text: string): number | undefined => {
  if (!/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text)) {
    return undefined;
  }
  let value = 0;
  for (const part of text.split('.')) {
    if (Number(part) > 255) {
      return undefined;
    }
    value = value * 256 + Number(part);
  }
  return value;
};

export const formatIpv4 = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');

/** `10.0.0.7/24` → its subnet (host bits are dropped); undefined if it is not one. */
export const parseSubnet = (text: string): Subnet | undefined => {
  const [address, bits, ...rest] = text.split('/');
  const value = parseIpv4(address ?? '');
  if (value === undefined || rest.length > 0 || !/^\d{1,2}$/.test(bits ?? '') || Number(bits) > 32) {
    return undefined;
  }
  return subnetAt(value, Number(bits));
};

export const subnetAt = (address: number, prefix: number): Subnet => {
  const size = 2 ** (32 - prefix);
  return { base: address - (address % size), size, prefix };
};

export const formatSubnet = (subnet: Subnet): string => `${formatIpv4(subnet.base)}/${subnet.prefix}`;

export const contains = (subnet: Subnet, address: number): boolean => address >= subnet.base && address < subnet.base + subnet.size;

export const overlaps = (a: Subnet, b: Subnet): boolean => a.base < b.base + b.size && b.base < a.base + a.size;
