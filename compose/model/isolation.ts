import { type EgressEntry, type EgressFault, readEgress } from './egress.ts';

/** A service whose machine has no NIC. What it may reach goes through the proxy of its supervisor. */
export interface Isolation {
  /** Hosts that it may connect to by TCP; empty: none. */
  readonly outbound: 'everywhere' | readonly EgressEntry[];
}

/**
 * Reads `x-hypr: {network: isolated, allow_outbound: true, allowed_domains: [name…]}` of a service; `egress` may stand in place of the
 * last two. Undefined: its machine has a NIC. `settings` is plain data whose rules `readEgress` takes.
 */
export const readIsolation = (settings: unknown): Isolation | EgressFault | undefined => {
  const {
    network,
    allow_outbound: outbound,
    allowed_domains: domains,
    egress: own,
  } = (settings ?? {}) as Readonly<Record<string, unknown>>;
  if (network === undefined) {
    return undefined;
  }
  if (network !== 'isolated') {
    return { key: 'network', fault: 'must be isolated, which is a machine without a NIC' };
  }
  if (domains !== undefined && outbound !== true) {
    return { key: 'allowed_domains', fault: 'has no effect here: an isolated service reaches nothing unless allow_outbound is true' };
  }
  const egress = readEgress(settings);
  if (egress !== undefined && 'fault' in egress) {
    return egress;
  }
  const other = egress?.allow.find(({ protocol = 'tcp' }) => protocol !== 'tcp');
  if (other !== undefined) {
    const key = domains === undefined ? 'egress' : 'allowed_domains';
    return { key, fault: `cannot have ${other.protocol}: the way out of an isolated service is a proxy for TCP` };
  }
  const asked = own !== undefined || outbound === true;
  return { outbound: asked ? (egress?.allow ?? 'everywhere') : [] };
};

/** Attributes of a service that a machine without a NIC cannot have. */
export const NEEDS_NIC: readonly string[] = [
  'networks',
  'network_mode',
  'links',
  'external_links',
  'mac_address',
  'dns',
  'dns_search',
  'dns_opt',
];
