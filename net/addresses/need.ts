import { HyprError } from '../../base/errors.ts';
import { parseIpv6 } from '../../base/ipv6.ts';
import { parseIpv4, parseSubnet } from './ipv4.ts';
import { parseSubnet6 } from './ipv6.ts';

/** Text → what it must be. Throws NET_ADDRESS, which says what it is not. */
const need =
  <T>(parse: (text: string) => T | undefined, what: string, hint?: string) =>
  (text: string): T => {
    const parsed = parse(text);
    if (parsed === undefined) {
      throw new HyprError('NET_ADDRESS', `${JSON.stringify(text)} is not ${what}`, hint === undefined ? {} : { hint });
    }
    return parsed;
  };

export const needAddress = need(parseIpv4, 'an IPv4 address');
export const needAddress6 = need(parseIpv6, 'an IPv6 address');
export const needSubnet = need(parseSubnet, 'an IPv4 subnet', 'write it as 10.90.0.0/24');
export const needSubnet6 = need(parseSubnet6, 'an IPv6 subnet', 'write it as fd12:3456:789a::/64');
