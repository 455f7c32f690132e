import { HyprError } from '../base/errors.ts';
import { parseIpv4 } from './ipv4.ts';

/** Bytes per packet in every network: the gateway carries jumbo frames (measured: twice the throughput of 1500). */
export const NETWORK_MTU = 65_520;

const DEFAULT_FALLBACK_DNS = '8.8.8.8';

/**
 * The resolvers that a guest asks when the gateway, which asks the host's own resolvers, does not answer:
 * `HYPR_FALLBACK_DNS`, none when that is `none`. Throws HYPR_USAGE for anything but an IPv4 address.
 */
export const fallbackDns = (env: NodeJS.ProcessEnv = process.env): readonly string[] => {
  const setting = env.HYPR_FALLBACK_DNS ?? '';
  if (setting === 'none') {
    return [];
  }
  if (setting !== '' && parseIpv4(setting) === undefined) {
    throw new HyprError('HYPR_USAGE', `HYPR_FALLBACK_DNS is ${JSON.stringify(setting)}; it can be an IPv4 address or none`);
  }
  return [setting === '' ? DEFAULT_FALLBACK_DNS : setting];
};
