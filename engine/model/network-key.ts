import { HyprError } from '../../base/errors.ts';

/**
 * How a replica names its networks. One of its stack has the key of the Compose file; a shared one, which belongs to no stack, has its
 * name after a prefix that no key of a file can have.
 */
const SHARED = 'external:';

export const sharedNetworkKey = (name: string): string => `${SHARED}${name}`;

/** The name of a shared network; undefined for one of the stack. */
export const sharedNetworkName = (key: string): string | undefined => (key.startsWith(SHARED) ? key.slice(SHARED.length) : undefined);

/** As users know it. */
export const shownNetwork = (key: string): string => sharedNetworkName(key) ?? key;

/** The network of standalone machines, which is always there. */
export const DEFAULT_NETWORK = 'bridge';

export const networkNotFound = (name: string): HyprError =>
  new HyprError('NOT_FOUND', `network ${name} not found`, { hint: 'see: hypr network ls' });
