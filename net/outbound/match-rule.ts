import { BlockList, isIP } from 'node:net';
import type { NetworkPolicy } from '../types.ts';

type Rule = NetworkPolicy['rules'][number];

/** A destination: an address, and the name that was resolved to it. */
export interface Destination {
  readonly address: string;
  readonly port: number;
  readonly name?: string | undefined;
}

/**
 * Whether a policy lets a TCP connection through. The same verdict as the gateway's (`net/gateway/policy.go`); both are held to
 * test/net/support/policy-cases.json. Pure.
 */
export const allowsTcp = (policy: NetworkPolicy, { address, port, name }: Destination): boolean => {
  const rule = policy.rules.find(
    ({ to = [], ...rule }) =>
      isForTcpPort(rule, port) &&
      (to.length === 0 || to.some((place) => isWithin(place, address) || (name !== undefined && matchesName(place, name)))),
  );
  return (rule?.action ?? policy.default) === 'allow';
};

/** Whether an allowing rule names this address, or a range with it, for this port: then it was meant, even if it is a private one. Pure. */
export const namesAddress = (policy: NetworkPolicy, { address, port }: Destination): boolean =>
  policy.rules.some((rule) => rule.action === 'allow' && isForTcpPort(rule, port) && rule.to?.some((place) => isWithin(place, address)));

/** Whether a name may be asked for: a question to a name server is a way out, too. Pure. */
export const mayResolve = (policy: NetworkPolicy, name: string): boolean => {
  const applies = ({ action, to = [], ports, protocol }: Rule) =>
    // If only a part is denied, another port of that name may be reached.
    (action === 'allow' || (!ports?.length && protocol === undefined)) && (to.length === 0 || to.some((place) => matchesName(place, name)));
  const rule = policy.rules.find(applies);
  return (rule?.action ?? policy.default) === 'allow';
};

const isForTcpPort = ({ protocol = 'tcp', ports = [] }: Pick<Rule, 'protocol' | 'ports'>, port: number): boolean =>
  protocol === 'tcp' && (ports.length === 0 || ports.some((range) => isInRange(range, port)));

const isInRange = (range: string, port: number): boolean => {
  const [first = 0, last = first] = range.split('-').map(Number);
  return port >= first && port <= last;
};

/** Names are compared in lower case without a final dot. */
const matchesName = (pattern: string, name: string): boolean =>
  pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : pattern === name;

const isWithin = (place: string, address: string): boolean => {
  const [base = '', bits] = place.split('/');
  const family = isIP(base);
  return family !== 0 && family === isIP(address) && prefixList(base, bits).check(address, typeOf(family));
};

const prefixList = (base: string, bits: string | undefined): BlockList => {
  const list = new BlockList();
  const family = isIP(base);
  list.addSubnet(base, bits === undefined ? (family === 4 ? 32 : 128) : Number(bits), typeOf(family));
  return list;
};

const typeOf = (family: number): 'ipv4' | 'ipv6' => (family === 4 ? 'ipv4' : 'ipv6');
