import { HyprError } from '../../base/errors.ts';
import { parseIpv6 } from '../../base/ipv6.ts';
import { formatSubnet, parseIpv4, parseSubnet } from './ipv4.ts';
import { formatSubnet6, parseSubnet6 } from './ipv6.ts';

/**
 * Refuses `10.1.2.3/24`, as docker does: whoever writes it means the address or the network, and nobody knows which. What is no subnet at all is
 * left to others. Throws NET_ADDRESS.
 */
export const refuseHostBits = (what: 'subnet' | 'ip-range', text: string | undefined): void => {
  const right = text === undefined ? undefined : (maskedFrom4(text) ?? maskedFrom6(text));
  if (right !== undefined) {
    throw new HyprError('NET_ADDRESS', `invalid ${what} ${text}: it should be ${right}`);
  }
};

/** The network of it, when that is another address. */
const maskedFrom4 = (text: string): string | undefined => {
  const subnet = parseSubnet(text);
  return subnet === undefined || parseIpv4(text.split('/')[0] ?? '') === subnet.base ? undefined : formatSubnet(subnet);
};

const maskedFrom6 = (text: string): string | undefined => {
  const subnet = parseSubnet6(text);
  return subnet === undefined || parseIpv6(text.split('/')[0] ?? '') === subnet.base ? undefined : formatSubnet6(subnet);
};
