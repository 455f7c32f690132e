import type { GuestClient } from '../../guest/types.ts';
import { OUTBOUND_PORT } from '../../net/defaults.ts';
import { openOutboundProxy } from '../../net/outbound/outbound-proxy.ts';
import type { Refusals } from '../logs/refusals.ts';
import { outboundPolicy } from '../resolve/egress-policy.ts';
import type { VmRow } from '../state/records.ts';

/**
 * Gives a machine without a NIC its proxy, until its guest is gone; nothing where it may reach nothing. Its programs find it by
 * HTTP_PROXY. Throws GUEST_REFUSED when the port is taken.
 */
export const openOutbound = async (
  guest: Pick<GuestClient, 'relay' | 'closed'>,
  { name, spec }: Pick<VmRow, 'name' | 'spec'>,
  context: { readonly refusals: Pick<Refusals, 'tell'> },
  signal: AbortSignal,
): Promise<void> => {
  const policy = outboundPolicy(spec);
  if (policy === undefined) {
    return;
  }
  const proxy = openOutboundProxy({
    policy,
    onRefused: (refused) => context.refusals.tell({ ...refused, replica: name, protocol: 'tcp', count: 1 }),
  });
  void guest.closed.then(() => proxy.close());
  await guest.relay({ port: OUTBOUND_PORT }, (connection) => proxy.accept(connection), signal);
};
