import type { EgressEntry } from '../../compose/model/egress.ts';
import type { NetworkPolicy } from '../../net/types.ts';
import type { ReplicaSpec } from '../model/spec.ts';

/** A replica's rules as the gateway takes them; undefined: it may connect to everywhere. */
export const egressPolicy = ({ egress }: Pick<ReplicaSpec, 'egress'>): NetworkPolicy | undefined =>
  egress === undefined ? undefined : allowOnly(egress.allow);

/** What the proxy of a replica without a NIC lets through; undefined: nothing, and there is no proxy. */
export const outboundPolicy = ({ isolated }: Pick<ReplicaSpec, 'isolated'>): NetworkPolicy | undefined => {
  const outbound = isolated?.outbound ?? [];
  if (outbound === 'everywhere') {
    return { default: 'allow', rules: [] };
  }
  return outbound.length === 0 ? undefined : allowOnly(outbound);
};

const allowOnly = (entries: readonly EgressEntry[]): NetworkPolicy => ({
  default: 'deny',
  rules: entries.map(({ to, ports, protocol }) => ({
    action: 'allow',
    ...(to === undefined ? {} : { to: [to] }),
    ...(ports === undefined ? {} : { ports: [ports] }),
    ...(protocol === undefined ? {} : { protocol }),
  })),
});
