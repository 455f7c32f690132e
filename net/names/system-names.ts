import { lookup } from 'node:dns/promises';
import { withDeadline } from '../../base/deadline.ts';

/**
 * Whether the system's resolver asks hypr for names of its domain. It is tried, as every program would: `probe` below the domain is always
 * answered with the edge's address. False when it takes longer than a second.
 */
export const systemKnowsNames = async (domain: string, signal?: AbortSignal): Promise<boolean> => {
  try {
    const { address } = await withDeadline({ ms: TRY_MS, what: 'the resolver', signal }, () => lookup(`probe.${domain}`, { family: 4 }));
    return address === EDGE_ADDRESS;
  } catch {
    signal?.throwIfAborted();
    return false;
  }
};

const TRY_MS = 1_000;
const EDGE_ADDRESS = '127.0.0.1';
