import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { orAbort } from '../../base/abort.ts';
import { withDeadline } from '../../base/deadline.ts';
import { messageOf } from '../../base/errors.ts';
import type { NetworkPolicy } from '../types.ts';
import { allowsTcp, mayResolve, namesAddress } from './match-rule.ts';
import { isNeverDialled, isPrivate } from './never.ts';

const RESOLVE_MS = 10_000;
const DIAL_MS = 30_000;

/** All addresses of a name, in the order in which they are tried. */
export type Resolve = (name: string) => Promise<readonly string[]>;

export interface Refused {
  readonly rule: 'egress' | 'rate';
  /** Address and port; absent when a name is not even resolved. */
  readonly to?: string;
  readonly name?: string;
}

export interface Admission {
  readonly policy: NetworkPolicy;
  readonly onRefused: (refused: Refused) => void;
  /** False when there are too many. */
  readonly mayBegin: () => boolean;
  readonly resolve?: Resolve;
  readonly signal: AbortSignal;
}

type Opened = { readonly socket: Socket } | { readonly status: number; readonly text: string };

const TIMED_OUT = { status: 502, text: 'it did not answer in time' } as const;

/**
 * Connects to a host that a program in a machine asks for, if the policy allows it; otherwise gives the status and the text of the
 * refusal. A name is resolved once, and the address that was looked at is the one that is dialled.
 */
export const openDestination = async (asked: { readonly host: string; readonly port: number }, admission: Admission): Promise<Opened> => {
  const host = asked.host.toLowerCase().replace(/\.$/, '');
  const { port } = asked;
  if (host === '' || host.length > 253 || !/^[\w.:-]+$/.test(host) || !(port >= 1 && port <= 65_535)) {
    return { status: 400, text: 'this is no host and port' };
  }
  const isName = isIP(host) === 0;
  const place = isName ? { name: `${host}:${port}` } : { to: joined(host, port) };
  if (!admission.mayBegin()) {
    admission.onRefused({ rule: 'rate', ...place });
    return { status: 429, text: 'there were too many connections in a short time' };
  }
  if (isName && !mayResolve(admission.policy, host)) {
    return refused(admission, place);
  }
  const addresses = isName ? await resolve(host, admission) : [host];
  if (!Array.isArray(addresses)) {
    return addresses as Opened;
  }
  const name = isName ? host : undefined;
  const open = addresses.filter((address: string) => isOpen(admission.policy, { address, port, name }));
  if (open.length === 0) {
    const [first] = addresses as string[];
    return refused(admission, { ...(first === undefined ? {} : { to: joined(first, port) }), ...(isName ? { name: host } : {}) });
  }
  return dialFirst(open, port, admission.signal);
};

const isOpen = (policy: NetworkPolicy, to: { address: string; port: number; name: string | undefined }): boolean =>
  !isNeverDialled(to.address) && allowsTcp(policy, to) && (!isPrivate(to.address) || namesAddress(policy, to.address));

const refused = (admission: Admission, place: Omit<Refused, 'rule'>): Opened => {
  admission.onRefused({ rule: 'egress', ...place });
  return { status: 403, text: `${place.name ?? place.to} is not among what this service may reach (x-hypr)` };
};

const resolve = async (name: string, { resolve: own, signal }: Admission): Promise<string[] | Opened> => {
  try {
    const find = own ?? (async (text: string) => (await lookup(text, { all: true })).map(({ address }) => address));
    return [...(await withDeadline({ ms: RESOLVE_MS, what: 'the name server', signal }, (within) => orAbort(find(name), within)))];
  } catch (error) {
    return { status: 502, text: `${name} cannot be resolved: ${messageOf(error)}` };
  }
};

const dialFirst = async (addresses: readonly string[], port: number, signal: AbortSignal): Promise<Opened> => {
  let last: Opened = TIMED_OUT;
  for (const address of addresses) {
    const socket = connect({ host: address, port, allowHalfOpen: true });
    socket.on('error', () => {});
    try {
      await withDeadline({ ms: DIAL_MS, what: joined(address, port), signal }, (within) => once(socket, 'connect', { signal: within }));
      socket.setKeepAlive(true, 60_000);
      return { socket };
    } catch (error) {
      socket.destroy();
      last = { status: 502, text: messageOf(error) };
    }
  }
  return last;
};

const joined = (address: string, port: number): string => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);
