import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import type { LimitFunction } from 'p-limit';
import { orAbort } from '../../base/abort.ts';
import { withDeadline } from '../../base/deadline.ts';
import { messageOf } from '../../base/errors.ts';
import { formatEndpoint } from '../ports/port-errors.ts';
import type { NetworkPolicy } from '../types.ts';
import { allowsTcp, type Destination, mayResolve, namesAddress } from './match-rule.ts';
import { isNeverDialled, isPrivate } from './never.ts';

const RESOLVE_MS = 10_000;
/** For all addresses of a name together. */
const DIAL_MS = 30_000;
const MOST_ADDRESSES = 8;

/** All addresses of a name, in the order in which they are tried. */
export type Resolve = (name: string) => Promise<readonly string[]>;

export interface Refused {
  readonly rule: 'egress' | 'rate';
  /** Address and port; absent when a name is not even resolved. */
  readonly to?: string;
  readonly name?: string;
}

/** What may be opened for one machine. */
export interface Admission {
  readonly policy: NetworkPolicy;
  readonly onRefused: (refused: Refused) => void;
  /** One more connection to outside, from its question to a name server until it is closed; undefined when there are too many. */
  readonly begin: () => (() => void) | undefined;
  /** A question cannot be taken back from the system: it counts until it is answered. */
  readonly lookups: LimitFunction;
  readonly resolve?: Resolve | undefined;
}

type Opened = { readonly socket: Socket } | { readonly status: number; readonly text: string };

/**
 * Connects to a host that a program in a machine asks for, if the policy allows it; otherwise gives the status and the text of the
 * refusal. A name is resolved once, and the address that was looked at is the one that is dialled. The signal: whoever asked is gone.
 */
export const openDestination = async (
  asked: { readonly host: string; readonly port: number },
  admission: Admission,
  signal: AbortSignal,
): Promise<Opened> => {
  const host = asked.host.toLowerCase().replace(/\.$/, '');
  const { port } = asked;
  if (host === '' || host.length > 253 || !/^[\w.:-]+$/.test(host) || !(port >= 1 && port <= 65_535)) {
    return { status: 400, text: 'this is no host and port' };
  }
  const place = isIP(host) === 0 ? { name: `${host}:${port}` } : { to: formatEndpoint({ address: host, port }) };
  const leave = admission.begin();
  if (leave === undefined) {
    admission.onRefused({ rule: 'rate', ...place });
    return { status: 429, text: 'there were too many connections in a short time, or at a time' };
  }
  const opened = await openAllowed(host, port, admission, signal).catch((error: unknown) => ({ status: 502, text: messageOf(error) }));
  'socket' in opened ? opened.socket.once('close', leave) : leave();
  return opened;
};

const openAllowed = async (host: string, port: number, admission: Admission, signal: AbortSignal): Promise<Opened> => {
  const { policy } = admission;
  if (isIP(host) !== 0) {
    const to = { address: host, port, name: undefined };
    return isOpen(policy, to) ? dialFirst([host], port, signal) : refused(admission, { to: formatEndpoint({ address: host, port }) });
  }
  if (!mayResolve(policy, host)) {
    return refused(admission, { name: `${host}:${port}` });
  }
  const addresses = await resolve(host, admission, signal);
  if (!('length' in addresses)) {
    return addresses;
  }
  const open = addresses.filter((address) => isOpen(policy, { address, port, name: host }));
  const [first] = addresses;
  return open.length > 0
    ? dialFirst(open.slice(0, MOST_ADDRESSES), port, signal)
    : refused(admission, { ...(first === undefined ? {} : { to: formatEndpoint({ address: first, port }) }), name: host });
};

const isOpen = (policy: NetworkPolicy, to: Destination): boolean =>
  !isNeverDialled(to.address) && allowsTcp(policy, to) && (!isPrivate(to.address) || namesAddress(policy, to));

const refused = (admission: Admission, place: Omit<Refused, 'rule'>): Opened => {
  admission.onRefused({ rule: 'egress', ...place });
  return { status: 403, text: `${place.name ?? place.to} is not among what this service may reach (x-hypr)` };
};

const resolve = async (name: string, admission: Admission, signal: AbortSignal): Promise<readonly string[] | Opened> => {
  const find = admission.resolve ?? (async (text: string) => (await lookup(text, { all: true })).map(({ address }) => address));
  try {
    return await withDeadline({ ms: RESOLVE_MS, what: 'the name server', signal }, (within) =>
      orAbort(
        admission.lookups(() => (within.aborted ? [] : find(name))),
        within,
      ),
    );
  } catch (error) {
    return { status: 502, text: `${name} cannot be resolved: ${messageOf(error)}` };
  }
};

/** Each address gets its part of the time that is left, so that one that never answers leaves time for the next. */
const dialFirst = async (addresses: readonly string[], port: number, signal: AbortSignal): Promise<Opened> => {
  const end = performance.now() + DIAL_MS;
  let last = '';
  for (const [index, address] of addresses.entries()) {
    const ms = Math.ceil((end - performance.now()) / (addresses.length - index));
    const socket = connect({ host: address, port, allowHalfOpen: true });
    socket.on('error', () => {});
    try {
      const what = `an answer of ${formatEndpoint({ address, port })}`;
      await withDeadline({ ms, what, signal }, (within) => once(socket, 'connect', { signal: within }));
      socket.setKeepAlive(true, 60_000);
      return { socket };
    } catch (error) {
      socket.destroy();
      last = messageOf(error);
      signal.throwIfAborted();
    }
  }
  return { status: 502, text: last };
};
