import { isIP } from 'node:net';
import { HyprError } from '../../base/errors.ts';
import type { NetworkConfig, Service, ServiceNetwork } from '../../compose/model/model.ts';
import { DEFAULT_NETWORK } from '../../engine/model/network-key.ts';
import type { Flags } from '../core/flags.ts';

/** What `--network` and its kind make of a machine, and the networks that it is on. */
export interface RunNetworks {
  readonly service: Partial<Service>;
  readonly networks: Record<string, NetworkConfig>;
}

const WITHOUT_NIC: readonly string[] = ['none', 'isolated'];

/** By default a machine is on the network that all standalone machines share. Throws HYPR_USAGE, HYPR_UNSUPPORTED. */
export const networksOfRun = (flags: Flags): RunNetworks => {
  const wanted = [...flags.list('network'), ...flags.list('net')].map((name) => (name === 'default' ? DEFAULT_NETWORK : name));
  wanted.forEach(refuseBadName);
  const [first = DEFAULT_NETWORK, ...more] = wanted;
  const bare = wanted.find((name) => WITHOUT_NIC.includes(name));
  const addresses = addressesOf(flags);
  if (bare !== undefined) {
    if (more.length > 0) {
      throw new HyprError('HYPR_USAGE', `--network ${bare} cannot be combined with other networks`);
    }
    if (Object.keys(addresses).length > 0) {
      throw new HyprError('HYPR_USAGE', `--ip and --network ${bare} cannot be given together: there is no NIC`);
    }
    return { service: bare === 'none' ? { network_mode: 'none' } : { 'x-hypr': { network: bare } }, networks: {} };
  }
  // The first one is eth0 and has the default route, as in docker.
  const own: ServiceNetwork = { ...addresses, aliases: [...flags.list('network-alias')], priority: 1, gw_priority: 1 };
  const names = [first, ...more];
  return {
    service: { networks: { ...Object.fromEntries(more.map((name) => [name, {}])), [first]: own } },
    networks: Object.fromEntries(names.map((name) => [name, { name, external: true }])),
  };
};

const refuseBadName = (name: string): void => {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name) || name === 'host' || name === 'vsock') {
    throw new HyprError('HYPR_UNSUPPORTED', `--network ${name} is not supported: every machine has NICs of its own, or none`, {
      hint:
        name === 'vsock'
          ? 'a machine without a NIC: --network isolated, whose published ports are reached, or --network none'
          : 'use bridge, none, isolated, or a network of hypr network create',
    });
  }
};

const addressesOf = (flags: Flags): Pick<ServiceNetwork, 'ipv4_address' | 'ipv6_address'> => {
  const [ip, ip6] = [addressOf(flags, 'ip', 4), addressOf(flags, 'ip6', 6)];
  return { ...(ip === undefined ? {} : { ipv4_address: ip }), ...(ip6 === undefined ? {} : { ipv6_address: ip6 }) };
};

const addressOf = (flags: Flags, flag: string, version: 4 | 6): string | undefined => {
  const text = flags.string(flag);
  if (text !== undefined && isIP(text) !== version) {
    throw new HyprError('HYPR_USAGE', `--${flag}: "${text}" is not an IPv${version} address`);
  }
  return text;
};
